"""The token that ends the last turn of a prompt, in the chat templates of several families."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from transformers import AddedToken

from rmplug import DataError
from rmplug.testing.tiny_models import tiny_tokenizer
from rmplug_hf.tokens._conversations import Conversation
from rmplug_hf.tokens._rendering import Style
from rmplug_hf.tokens._tokenizing import Tokenizing

ANSWER = [{"role": "assistant", "content": "No: 91 = 7 × 13."}]
TURNS = {
    "one turn": [("user", "Is 91 prime?")],
    "several turns": [("user", "Is 91 prime?"), ("assistant", "Yes."), ("user", "Are you sure?")],
    "spaces at the end": [("user", "Is 91 prime?"), ("assistant", "Yes."), ("user", "Sure? \n\n")],
}
SYSTEM = ("system", "Be brief.")


@dataclass(frozen=True)
class Family:
    """A template, its tokens, what ends a turn, and how often a text has the token that begins it;
    ``strips`` of contents, ``refuses`` a system prompt."""

    template: str
    tokens: tuple[str | AddedToken, ...]
    end: str
    last: str
    bos: int = 0
    strips: bool = True
    refuses: bool = False


HEADERS = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
CHATML = ("<|im_start|>", "<|im_end|>")
TURN_OF_LLAMA_3 = (
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>'"
    " }}"
)
OPENS_LLAMA_3 = (
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
TURN_OF_CHATML = "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
OPENS_CHATML = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
# without a system prompt of the conversation's own there is one of the template's
DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}"
)
# thoughts are written before the last answer only
THINKS = (
    "{% for m in messages %}{% if m.role == 'assistant' and loop.last %}"
    "{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' + m.content + '<|im_end|>\n' }}"
    "{% else %}" + TURN_OF_CHATML + "{% endif %}{% endfor %}"
)
SYSTEM_IN_FIRST_TURN = (
    "{% if messages[0].role == 'system' %}{% set told = messages[0].content + '\n\n' %}"
    "{% set messages = messages[1:] %}{% else %}{% set told = '' %}{% endif %}"
)

FAMILIES = {
    "llama-3": Family(
        "{{ bos_token }}{% for m in messages %}" + TURN_OF_LLAMA_3 + "{% endfor %}" + OPENS_LLAMA_3,
        HEADERS,
        "<|eot_id|>",
        "<|eot_id|>",
        bos=1,
    ),
    "llama-3.1": Family(
        "{{ bos_token }}{% if messages[0].role == 'system' %}"
        "{% set told = messages[0].content | trim %}{% set messages = messages[1:] %}"
        "{% else %}{% set told = '' %}{% endif %}"
        "{{ '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n"
        "Today Date: 26 Jul 2024\n\n' + told + '<|eot_id|>' }}{% for m in messages %}"
        + TURN_OF_LLAMA_3
        + "{% endfor %}"
        + OPENS_LLAMA_3,
        HEADERS,
        "<|eot_id|>",
        "<|eot_id|>",
        bos=1,
    ),
    "gemma-2": Family(
        "{{ bos_token }}{% if messages[0].role == 'system' %}"
        "{{ raise_exception('System role not supported') }}{% endif %}{% for m in messages %}"
        "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + "
        "m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        ("<bos>", "<start_of_turn>", "<end_of_turn>"),
        "<end_of_turn>",
        "<end_of_turn>",
        bos=1,
        refuses=True,
    ),
    "chatml": Family(
        "{% for m in messages %}" + TURN_OF_CHATML + "{% endfor %}" + OPENS_CHATML,
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        strips=False,
    ),
    "qwen-2.5": Family(
        DEFAULT_SYSTEM + "{% for m in messages %}" + TURN_OF_CHATML + "{% endfor %}" + OPENS_CHATML,
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        strips=False,
    ),
    "qwen-3": Family(
        THINKS + OPENS_CHATML,
        (*CHATML, AddedToken("<think>", special=False), AddedToken("</think>", special=False)),
        "<|im_end|>",
        "<|im_end|>",
        strips=False,
    ),
    "newlines-between-turns": Family(
        "{% for m in messages %}" + TURN_OF_CHATML + "{{ '\n\n' }}{% endfor %}" + OPENS_CHATML,
        CHATML,
        "<|im_end|>",
        "<|im_end|>",
        strips=False,
    ),
    "mistral": Family(
        SYSTEM_IN_FIRST_TURN + "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
        "{{ ' [INST] ' + (told if loop.first else '') + m.content + ' [/INST]' }}"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}",
        ("<s>", "</s>", "[INST]", "[/INST]"),
        " [/INST]",
        "[/INST]",
        bos=1,
        strips=False,
    ),
    "mistral-of-plain-tokens": Family(
        SYSTEM_IN_FIRST_TURN + "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}"
        "{{ '[INST] ' + (told if loop.first else '') + m.content | trim + ' [/INST] ' }}"
        "{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}",
        ("<s>", "</s>"),
        " [/INST]",
        "]",
        bos=1,
    ),
    "zephyr": Family(
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}"
        "{% if loop.last and add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
        "{% endfor %}",
        ("<s>", "</s>"),
        "</s>",
        "</s>",
        strips=False,
    ),
    "phi-3": Family(
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
        (
            "<s>",
            "<|endoftext|>",
            *(
                AddedToken(f"<|{name}|>", special=True, rstrip=True)
                for name in ("user", "assistant", "system", "end")
            ),
        ),
        "<|end|>",
        "<|end|>",
        strips=False,
    ),
}
BEGINS = {"<s>", "<bos>", "<|begin_of_text|>"}
ENDS = ("</s>", "<|endoftext|>", "<|eot_id|>")


def tokenizer_of(family):
    tokenizer = tiny_tokenizer("qwen2", chat=False)
    tokenizer.add_tokens(
        [t if isinstance(t, AddedToken) else AddedToken(t, special=True) for t in family.tokens]
    )
    names = [str(token) for token in family.tokens]
    tokenizer.bos_token = next((name for name in names if name in BEGINS), None)
    tokenizer.eos_token = next((name for name in ENDS if name in names), names[-1])
    tokenizer.chat_template = family.template
    return tokenizer


def rows_of(family, turns):
    tokenizing = Tokenizing(tokenizer_of(family), Style(), None)
    prompt = [{"role": role, "content": content} for role, content in turns]
    parts = {
        part: tokenizing.encode([Conversation(prompt, ANSWER)], ["a"], part)[0].ids.tolist()
        for part in ("both", "prompt", "turn")
    }
    return tokenizing.tokenizer, parts


@pytest.mark.parametrize("system", [False, True], ids=["without system", "with system"])
@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("name", FAMILIES)
def test_the_last_turn_ends_with_the_token_that_ends_turns(name, turns, system):
    family, said = FAMILIES[name], [*([SYSTEM] if system else []), *TURNS[turns]]
    if system and family.refuses:
        with pytest.raises(DataError, match=r"refuses the conversation of a .*not supported"):
            rows_of(family, said)
        return
    tokenizer, rows = rows_of(family, said)
    turn = rows["turn"]
    assert tokenizer.convert_ids_to_tokens(turn[-1]) == family.last
    content = said[-1][1].strip() if family.strips else said[-1][1]
    assert tokenizer.decode(turn).endswith(content + family.end)
    for part in ("both", "prompt"):
        assert rows[part][: len(turn)] == turn
    assert "No: 91" in tokenizer.decode(rows["both"][len(turn) :])
    begun = [token for token in rows["both"] if token == tokenizer.bos_token_id]
    assert len(begun) == family.bos


def test_spaces_and_newlines_at_the_end_belong_to_no_turn_where_nothing_ends_one():
    family = Family(
        "{% for m in messages %}{{ m.role + ': ' + m.content + '\n\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
        ("</s>",),
        "",
        "?",
        strips=True,
    )
    tokenizer, rows = rows_of(family, TURNS["spaces at the end"])
    assert tokenizer.decode(rows["turn"]).endswith("user: Sure?")


def test_an_ending_that_shares_its_first_letters_with_what_opens_a_response_is_left_out():
    family = Family(
        "{% for m in messages %}{{ '<|turn|>' + m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<|turn_of_model|>{% else %}<|turn_ends|>{% endif %}",
        ("<|turn|>", "<|turn_ends|>", "<|turn_of_model|>"),
        "",
        "?",
    )
    tokenizer, rows = rows_of(family, TURNS["one turn"])
    assert tokenizer.decode(rows["turn"]) == "<|turn|>Is 91 prime?"
