from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmplug import DataError, Responses
from rmplug.data.rows import one_batch
from rmplug.notices import collect_notices
from rmplug.testing.tiny_models import tiny_tokenizer
from rmplug_hf.tokens import _tokenizing
from rmplug_hf.tokens._chat_process import ChatTemplate
from rmplug_hf.tokens._conversations import Conversation
from rmplug_hf.tokens._rendering import Renderer, Style
from rmplug_hf.tokens._tokenizing import (
    CUT_PROMPT,
    CUT_RESPONSE,
    MERGED_TURNS,
    Tokenizing,
    Tokens,
    cut_prompt_left,
)

USER = {"role": "user", "content": "Is 91 prime?"}
NO = {"role": "assistant", "content": "No."}
TALK = Conversation([USER], [NO])
LONG = Conversation(
    [{"role": "user", "content": "Is 91 prime? " * 20}],
    [{"role": "assistant", "content": "It is 7 times 13."}],
)


@pytest.fixture(scope="module")
def llama():
    return tiny_tokenizer("llama")


def text(tokenizer, talk, part="both", **style):
    return Renderer(tokenizer, Style(**style)).text(talk, part)


def response_of(found):
    return found.text[found.start : found.end]


def test_a_chat_template_writes_the_conversation_and_the_response_is_found_in_it(llama):
    found = text(llama, TALK)
    assert found.text == (
        "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nIs 91 prime?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nNo.<|eot_id|>"
    )
    assert response_of(found) == "No."


def test_a_prompt_alone_ends_where_the_response_would_begin(llama):
    prompt = text(llama, TALK, "prompt").text
    assert text(llama, TALK).text == prompt + "No.<|eot_id|>"


def test_a_response_that_the_prompt_repeats_is_found_at_the_end(llama):
    talk = Conversation([{"role": "user", "content": "Say No. No."}], [NO])
    found = text(llama, talk)
    assert found.text[found.start :] == "No.<|eot_id|>"


def test_spaces_that_a_template_strips_do_not_hide_the_response(llama):
    talk = Conversation([USER], [{"role": "assistant", "content": "  No.\n"}])
    assert response_of(text(llama, talk)) == "No."


def test_a_stated_text_takes_prompt_response_and_special_tokens(llama):
    found = text(llama, TALK, template="Q: {prompt}\nA: {response}{eos} {x}")
    assert found.text == "Q: Is 91 prime?\nA: No.<|eot_id|> {x}"
    assert response_of(found) == "No."


def test_braces_in_what_people_write_stay(llama):
    talk = Conversation(
        [{"role": "user", "content": "{response}"}], [{"role": "assistant", "content": "{prompt}"}]
    )
    assert text(llama, talk, template="{prompt}|{response}").text == "{response}|{prompt}"


def test_several_turns_are_written_with_their_roles(llama):
    talk = Conversation([USER, NO, {"role": "user", "content": "Sure?"}], [NO])
    found = text(
        llama,
        talk,
        template="{prompt}\n\nAssistant: {response}",
        turn="{role}: {content}",
        roles={"user": "Human", "assistant": "Assistant"},
    )
    assert found.text == ("Human: Is 91 prime?\n\nAssistant: No.\n\nHuman: Sure?\n\nAssistant: No.")


def test_several_turns_without_roles_are_counted_and_named(llama):
    talk = Conversation([USER, NO, USER], [NO])
    tokenizing = Tokenizing(llama, Style("{prompt} {response}"), None)
    with collect_notices() as notices:
        tokenizing.encode([TALK, talk], ["one", "three"])
    assert notices[MERGED_TURNS, "kept"].ids == ["three"]


def test_a_system_prompt_is_put_first_unless_there_is_one(llama):
    style = {"system": "Be brief.", "template": "{prompt}\n\n{response}"}
    assert text(llama, TALK, **style).text == "Be brief.\n\nIs 91 prime?\n\nNo."
    own = Conversation([{"role": "system", "content": "Be long."}, USER], [NO])
    assert text(llama, own, **style).text == "Be long.\n\nIs 91 prime?\n\nNo."


@pytest.mark.parametrize("template", ["chat", "{prompt} {response}", "{bos}{prompt} {response}"])
def test_there_is_one_beginning_of_text(llama, template):
    row = Tokenizing(llama, Style(template), None).encode([TALK], ["a"], bounds=True)[0]
    assert (row.ids == llama.bos_token_id).sum() == 1
    assert row.ids[0] == llama.bos_token_id
    assert llama.decode(row.ids[row.start : row.end]).strip() == "No."


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama", "qwen2"])
@pytest.mark.parametrize("template", ["chat", "pair", "User: {prompt}\n\nBot: {response} <end>"])
def test_the_tokens_of_the_response_are_known(architecture, template):
    tokenizer = tiny_tokenizer(architecture)
    row = Tokenizing(tokenizer, Style(template), None).encode([LONG], ["a"], bounds=True)[0]
    found = tokenizer.decode(row.ids[row.start : row.end], skip_special_tokens=False)
    assert found.strip().lower().replace(" .", ".") == "it is 7 times 13."


def test_a_pair_has_segments(llama):
    tokenizer = tiny_tokenizer("bert")
    row = Tokenizing(tokenizer, Style("pair"), None).encode([TALK], ["a"])[0]
    expected = tokenizer("Is 91 prime?", "No.")
    assert row.ids.tolist() == expected["input_ids"]
    assert row.segments.tolist() == expected["token_type_ids"]


def fitted(tokenizer, talk, length, truncate="prompt-left", template="chat"):
    tokenizing = Tokenizing(tokenizer, Style(template), length, truncate)
    with collect_notices() as notices:
        row = tokenizing.encode([talk], ["a"], bounds=True)[0]
    assert len(row) <= length
    return row, {what: notice.ids for (what, _), notice in notices.items()}


def test_a_long_prompt_loses_its_beginning_and_the_response_survives(llama):
    row, notices = fitted(llama, LONG, 60)
    kept = llama.decode(row.ids)
    assert len(row) == 60
    assert kept.startswith("<|begin_of_text|>")
    assert kept.endswith(
        "Is 91 prime?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
        "It is 7 times 13.<|eot_id|>"
    )
    assert llama.decode(row.ids[row.start : row.end]) == "It is 7 times 13."
    assert notices == {CUT_PROMPT: ["a"]}


def test_a_response_that_is_too_long_by_itself_keeps_its_beginning_and_what_follows_it(llama):
    row, notices = fitted(llama, LONG, 8)
    kept = llama.decode(row.ids)
    assert kept.startswith("<|begin_of_text|>It")
    assert kept.endswith("<|eot_id|>")
    assert "It is 7 times 13.".startswith(llama.decode(row.ids[1:-1]))
    assert notices == {CUT_RESPONSE: ["a"]}


def test_no_room_for_a_response_is_refused(llama):
    with pytest.raises(DataError, match=r"max_length 2 leaves no room for a response beside the 2"):
        fitted(llama, LONG, 2)


def test_a_long_pair_keeps_both_brackets_and_its_response():
    tokenizer = tiny_tokenizer("bert")
    row, notices = fitted(tokenizer, LONG, 30, template="pair")
    words = tokenizer.convert_ids_to_tokens(row.ids.tolist())
    assert (words[0], words[row.start - 1], words[-1]) == ("[CLS]", "[SEP]", "[SEP]")
    assert row.segments.tolist() == [0] * row.start + [1] * (30 - row.start)
    assert notices == {CUT_PROMPT: ["a"]}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_left_and_right_are_what_the_tokenizer_does(architecture, side):
    tokenizer = tiny_tokenizer(architecture, chat=False)
    row, notices = fitted(tokenizer, LONG, 40, side, "{prompt} {response}")
    tokenizer.truncation_side = side
    whole = f"{LONG.prompt[0]['content']} {LONG.response[0]['content']}"
    expected = tokenizer(whole, truncation=True, max_length=40)["input_ids"]
    assert row.ids.tolist() == expected
    assert notices == {CUT_PROMPT if side == "left" else CUT_RESPONSE: ["a"]}


def test_long_conversations_can_be_refused_by_name(llama):
    tokenizing = Tokenizing(llama, Style(), 60, "error")
    with pytest.raises(DataError) as caught:
        tokenizing.encode([TALK, LONG], ["short", "long"])
    assert str(caught.value) == (
        "1 of 2 conversations are longer than 60 tokens (long); raise max_length, or set "
        "truncate: prompt-left to cut prompts"
    )


@pytest.mark.parametrize("limit", [60, 8])
def test_many_long_conversations_are_cut_a_part_at_a_time_as_each_is_alone(
    llama, limit, monkeypatch
):
    monkeypatch.setattr(_tokenizing, "CHUNK", 3)
    prompts = [[{**USER, "content": "Is it? " * (n + 20)}] for n in range(14)]
    talks = [TALK if n % 4 == 0 else LONG._replace(prompt=p) for n, p in enumerate(prompts)]
    names = [f"r{n}" for n in range(14)]
    tokenizing = Tokenizing(llama, Style(), limit)
    with collect_notices() as notices:
        found = tokenizing.encode(talks, names)
    for talk, name, row in zip(talks, names, found, strict=True):
        assert row.ids.tolist() == tokenizing.encode([talk], [name])[0].ids.tolist()
    cut = [name for name, talk in zip(names, talks, strict=True) if talk is not TALK or limit == 8]
    assert sorted(name for told in notices.values() for name in told.ids) == sorted(cut)
    assert all(told.count == len(told.ids) for told in notices.values())


def test_what_fits_is_neither_cut_nor_counted(llama):
    length = len(Tokenizing(llama, Style(), None).encode([LONG], ["a"])[0])
    row, notices = fitted(llama, LONG, length)
    assert len(row) == length
    assert notices == {}


@given(st.data())
def test_cutting_keeps_the_order_the_ends_and_as_much_as_fits(data):
    size = data.draw(st.integers(3, 40))
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    length = data.draw(st.integers(size - end + 2, 45))
    row = Tokens(np.arange(size), start, end)
    cut = cut_prompt_left(row, length, keep_first=True)
    assert len(cut) == min(size, length)
    assert (np.diff(cut.ids) > 0).all()
    assert cut.ids[cut.start] == start
    assert cut.ids[0] == 0 or start == 0 or cut.start == 0
    assert cut.ids[cut.end :].tolist() == list(range(end, size))
    kept = cut.end - cut.start
    assert kept == end - start or cut.start == (1 if start > 0 else 0)


def test_a_response_of_a_pair_that_fills_the_limit_keeps_what_parts_it_from_the_prompt():
    bert = tiny_tokenizer("bert")
    answer = [{"role": "assistant", "content": "It is 7 times 13. " * 20}]
    talks = [Conversation([USER], answer), Conversation([USER], [NO])]
    rows = Tokenizing(bert, Style("pair"), 20).encode(talks, ["a", "b"])
    names = bert.convert_ids_to_tokens(rows[0].ids)
    assert len(names) == 20 and names[:2] == ["[CLS]", "[SEP]"] and names[-1] == "[SEP]"
    assert rows[0].segments.tolist() == [0, 0, *[1] * 18]
    assert (rows[0].start, rows[0].end) == (2, 19)
    alone = bert(answer[0]["content"], add_special_tokens=False)["input_ids"]
    assert rows[0].ids[2:19].tolist() == alone[:17]


def test_a_message_without_content_is_named(llama):
    table = Responses(
        {
            "id": ["a", "b"],
            "prompt": ["Hello?", "Hello?"],
            "response": pa.array(
                [[{"role": "assistant", "content": "Hi."}], [{"role": "assistant"}]],
                type=pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
            ),
        }
    )
    with pytest.raises(DataError, match="response of b has a message without content; write"):
        Tokenizing(llama, Style(), None).rows(one_batch(table.table))


def test_the_process_that_renders_keeps_no_connection_of_its_owner_open(llama):
    ours, other = socket.socketpair()
    with ours, other:
        chat = ChatTemplate(llama)
        assert "Hello" in chat.render([{"role": "user", "content": "Hello"}], generation=False)
        ours.close()
        other.settimeout(10)
        assert other.recv(1) == b""
        assert "again" in chat.render([{"role": "user", "content": "again"}], generation=False)


def test_threads_that_share_a_template_get_their_own_texts(llama):
    chat, said = ChatTemplate(llama), [f"number {n}" for n in range(400)]

    def render(text):
        return chat.render([{"role": "user", "content": text}], generation=False)

    with ThreadPoolExecutor(4) as pool:
        rendered = list(pool.map(render, said))
    assert rendered == list(map(render, said))
