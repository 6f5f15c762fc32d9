"""What a stranger sends: it never runs, fetches or allows itself anything, by no way in."""

from __future__ import annotations

import json
import shutil
import socket
import warnings

import huggingface_hub.constants
import pytest
from hostile_folders import CHECKPOINT_DOORS, COMMIT, MODEL_DOORS, WRITERS, Sent, changed_json

import rmplug
from rmplug import RmplugError
from rmplug._cli.commands import main
from rmplug.data.rows import one_batch
from rmplug_hf import Encoder, RewardHead, SequenceClassifier

CODE = ("with_code_of_configuration", "with_code_of_model", "with_code_of_tokenizer")


@pytest.fixture
def sent(tiny, tmp_path):
    """A checkpoint whose encoder lies inside."""
    return Sent(tmp_path / "sent", tiny("bert", head="none"))


@pytest.fixture
def contacts(monkeypatch):
    """Every name that is looked up while the hub's library believes that it is online."""
    asked = []

    def refuse(*address, **_):
        asked.append(address)
        raise OSError("no network in tests")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return asked


def refused(door, folder):
    """The one sentence in which a way in refuses the folder."""
    with pytest.raises(RmplugError) as caught:
        door(folder)
    text = str(caught.value)
    assert "\n" not in text and text
    return text


def scored(folder, capsys):
    """What the command says, in one line, and not as a traceback."""
    assert main(["score", str(folder), "--prompt", "p", "--response", "r"]) == 2
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said and said.count("\n") <= 1
    return said


@pytest.mark.parametrize("trainer", WRITERS)
@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("key", ["trust_remote_code", "allow_pickle_weights", "batch_tokens"])
def test_a_checkpoint_cannot_allow_itself_anything(sent, trainer, code, key, contacts, capsys):
    getattr(sent, code)()
    sent.params[key] = 7 if key == "batch_tokens" else True
    folder = sent.written(trainer)
    for door in CHECKPOINT_DOORS.values():
        assert f"asks for {key}: " in refused(door, folder)
    assert f"asks for {key}: " in scored(folder, capsys)
    assert not sent.ran.exists() and not contacts


@pytest.mark.parametrize("trainer", WRITERS)
def test_code_beside_the_weights_does_not_run(sent, trainer, contacts, capsys):
    sent.with_code_of_configuration()
    folder = sent.written(trainer)
    for door in CHECKPOINT_DOORS.values():
        assert "brings Python code of its own (mine)" in refused(door, folder)
    scored(folder, capsys)
    assert not sent.ran.exists() and not contacts


@pytest.mark.parametrize("code", ["with_code_of_model", "with_code_of_tokenizer"])
def test_what_the_library_knows_is_read_without_the_code_beside_it(sent, code, contacts):
    getattr(sent, code)()
    for door in CHECKPOINT_DOORS.values():
        assert door(sent.written("linear-head")) is not None
    assert not sent.ran.exists() and not contacts


def test_the_person_who_opens_a_checkpoint_can_allow_its_code(sent):
    sent.with_code_of_tokenizer()
    folder = sent.written("linear-head")
    with pytest.raises(RmplugError):  # what the code gives is no tokenizer, but it was run
        RewardHead(path=folder, trust_remote_code=True).load()
    assert sent.ran.exists()


@pytest.mark.parametrize("trainer", WRITERS)
def test_pickles_are_not_read(sent, trainer, capsys):
    sent.with_pickled_weights()
    folder = sent.written(trainer)
    for door in CHECKPOINT_DOORS.values():
        assert "are pickled (pytorch_model.bin)" in refused(door, folder)
    assert "are pickled" in scored(folder, capsys)
    assert not sent.ran.exists()


@pytest.mark.parametrize("trainer", WRITERS)
@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"name": "evil/model"}, "names 'evil/model' on the hub without the commit"),
        ({"name": "evil/model", "revision": "main"}, "on the hub without the commit"),
        ({"name": "evil/model", "revision": COMMIT}, "not in the local cache, and no checkpoint"),
        ({"name": "../../evil", "revision": COMMIT}, "not in the local cache, and no checkpoint"),
        ({"name": 7, "revision": COMMIT}, "names 7 on the hub without the commit"),
        ({"path": "//evil.example/share"}, "names '//evil.example/share', which is no local path"),
        ({"path": "\\\\evil.example\\share"}, "which is no local path"),
        ({"path": ["a"]}, "which is no local path"),
        ({"path": "encoder", "adapter": "//evil.example/a"}, "which is no local path"),
        ({"path": "/"}, "on another encoder than / is now"),
        ({"path": "nowhere"}, "nowhere, which is not there; say where it is now: encoder"),
        ({"path": "encoder", "endpoint": "http://evil.example"}, "asks for endpoint: 'http://evil"),
    ],
)
def test_nothing_is_fetched_for_a_checkpoint(sent, trainer, params, sentence, contacts, capsys):
    del sent.params["path"]
    sent.params |= params
    folder = sent.written(trainer)
    for door in CHECKPOINT_DOORS.values():
        assert sentence in refused(door, folder)
    assert "Traceback" not in scored(folder, capsys)
    assert not contacts


@pytest.mark.parametrize("trainer", ["odin-head", "assemble"])
@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("sequence-classifier", "asks for pooling: 'mean' to open its sequence-classifier: a"),
        ("causal-lm", "asks for pooling: 'mean' to open its causal-lm: a checkpoint cannot"),
        ("generative-judge", "of the kind generative-judge, which a checkpoint cannot open"),
        ("reward-head", "a model of the kind reward-head, which a checkpoint cannot open"),
        ("ensemble", "a model of the kind ensemble, which a checkpoint cannot open"),
        ("endpoint", "a model of the kind endpoint, which a checkpoint cannot open"),
        ("recorded", "a model of the kind recorded, which a checkpoint cannot open"),
        ("linear-head", "'linear-head' is a trainer, not a model loader"),
        ("no-such-kind", "unknown kind 'no-such-kind'"),
        (["encoder"], "does not say on which model it was trained"),
        ("k" * 5000, "does not say on which model it was trained"),
    ],
)
def test_a_checkpoint_names_what_a_record_may_open(sent, trainer, kind, sentence, contacts):
    sent.kind = kind
    folder = sent.written(trainer)
    for door in CHECKPOINT_DOORS.values():
        assert sentence in refused(door, folder)
    assert not contacts


@pytest.mark.parametrize("digests", [{}, {"config.json": "0" * 64}, {"config.json": 7}, None, []])
def test_files_that_a_checkpoint_does_not_know_are_not_opened(sent, digests):
    sent.written("odin-head")
    config = json.loads((sent.folder / "config.json").read_text())
    config["encoder"]["digests"] = digests
    (sent.folder / "config.json").write_text(json.dumps(config))
    for door in CHECKPOINT_DOORS.values():
        said = refused(door, sent.folder)
        assert "on another encoder" in said or "does not say on which model" in said


def test_a_checkpoint_with_its_encoder_inside_opens_wherever_it_is_copied(sent, tmp_path):
    folder = sent.written("linear-head")
    moved = folder.rename(tmp_path / "elsewhere")
    assert rmplug.load(moved).outputs == ("reward",)


@pytest.mark.parametrize("door", MODEL_DOORS)
@pytest.mark.parametrize("code", [*CODE, "with_pickled_weights"])
def test_a_model_runs_no_code_unless_the_step_says_so(sent, door, code, contacts):
    getattr(sent, code)()
    try:
        MODEL_DOORS[door](sent.encoder).load()
    except RmplugError as error:
        assert "\n" not in str(error)
    assert not sent.ran.exists() and not contacts


def test_code_that_writes_texts_is_not_run_with_a_language_model(tiny, tmp_path, contacts):
    sent = Sent(tmp_path / "sent", tiny("llama", head="lm"))
    (sent.encoder / "custom_generate").mkdir()
    (sent.encoder / "custom_generate/generate.py").write_text(f"open({str(sent.ran)!r}, 'w')\n")
    model = MODEL_DOORS["causal-lm"](sent.encoder).load()
    assert len(model.generate(["Hello."], max_new_tokens=2)) == 1
    assert not sent.ran.exists() and not contacts


@pytest.mark.parametrize("door", MODEL_DOORS)
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_a_kernel_of_the_hub_is_refused(sent, door, file, contacts):
    path = sent.encoder / file
    entries = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**entries, "deep": {"_attn_implementation": "evil/kernel"}}))
    said = refused(lambda folder: MODEL_DOORS[door](folder).load(), sent.encoder)
    assert "asks for _attn_implementation: evil/kernel, which is code of a hub" in said
    assert not contacts


def _deep(text):
    return '{"a": ' + "[" * 200_000 + "]" * 200_000 + "}"


DAMAGES = {
    "deep": _deep,
    "list": lambda text: "[]",
    "number": lambda text: "7",
    "broken": lambda text: text[:-3],
    "bytes": lambda text: "\x00\x01",
    "layers": lambda text: json.dumps({**json.loads(text), "num_hidden_layers": 10**12}),
    "labels": lambda text: json.dumps({**json.loads(text), "num_labels": 10**12}),
    "width": lambda text: json.dumps({**json.loads(text), "intermediate_size": 10**9}),
    "lists": lambda text: json.dumps({**json.loads(text), "block_layers": [1, [10**8]]}),
    "nested": lambda text: text[:-1].rstrip("}\n ") + ', "a": ' + "[" * 900 + "]" * 900 + "}",
    "hashes": lambda text: json.dumps({**json.loads(text), "num_hash_functions": 10**9}),
    "digits": lambda text: json.dumps({**json.loads(text), "dim": int("9" * 4300)}),
    "words": lambda text: json.dumps({**json.loads(text), "vocab_size": "many"}),
    "negative": lambda text: json.dumps({**json.loads(text), "hidden_size": -1}),
    "type": lambda text: json.dumps({**json.loads(text), "model_type": ["bert"]}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_configuration_that_no_model_has_is_refused_in_one_sentence(sent, damage, capsys):
    path = sent.encoder / "config.json"
    path.write_text(DAMAGES[damage](path.read_text()))
    folder = sent.written("linear-head")
    for door in (*CHECKPOINT_DOORS.values(), lambda _: Encoder(path=sent.encoder).load()):
        refused(door, folder)
    scored(folder, capsys)


@pytest.mark.parametrize(
    ("entries", "written"),
    [
        ({"block_sizes": [10**9, 1]}, "block_sizes: 1000000000"),
        ({"deep": [{"num_layers": [[20_000]]}]}, "num_layers: 20000"),
        ({"max_position_embeddings": 10**40}, "max_position_embeddings: 1" + "0" * 39),
    ],
)
def test_a_number_of_a_configuration_that_no_model_has_is_named(sent, entries, written):
    changed_json(sent.encoder / "config.json", **entries)
    said = refused(lambda folder: Encoder(path=folder).load(), sent.encoder)
    assert f"says {written}, which no model has" in said


def test_a_large_base_of_rotary_embeddings_is_no_size(sent):
    changed_json(sent.encoder / "config.json", rope_theta=4_000_000_000)
    assert Encoder(path=sent.encoder).load()


@pytest.mark.parametrize("trainer", WRITERS)
@pytest.mark.parametrize("damage", ["deep", "list", "number", "broken", "bytes"])
def test_a_checkpoint_that_is_no_checkpoint_is_refused(sent, trainer, damage, capsys):
    folder = sent.written(trainer)
    path = folder / "config.json"
    path.write_text(DAMAGES[damage](path.read_text()))
    for name in ("reward-head", "rmplug.load", "rmplug.load by kind", "open_folder"):
        refused(CHECKPOINT_DOORS[name], folder)
    scored(folder, capsys)


HEADERS = {
    "deep": b"[" * 200_000,
    "list": b"[]",
    "shape": b'{"weight": {"dtype": "F64", "shape": [-4], "data_offsets": [0, 8]}}',
    "offsets": b'{"weight": {"dtype": "F64", "shape": [1], "data_offsets": [0, 99999999]}}',
    "digits": b'{"weight": {"dtype": "F64", "shape": [%s], "data_offsets": [0, 8]}}'
    % b",".join([b"9" * 4300] * 20),
    "long end": b'{"weight": {"dtype": "F64", "shape": [1], "data_offsets": [0, %s]}}'
    % (b"9" * 4300),
    "types": b'{"weight": {"dtype": "F64", "shape": "x", "data_offsets": {}}}',
    "entry": b'{"weight": 7}',
    "dtype": b'{"weight": {"dtype": "I64", "shape": [1], "data_offsets": [0, 8]}}',
    "unknown": b'{"weight": {"dtype": "Q64", "shape": [1], "data_offsets": [0, 8]}}',
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    ("trainer", "file"),
    [
        ("linear-head", "head.safetensors"),
        ("linear-head", "encoder/model.safetensors"),
        ("odin-head", "heads.safetensors"),
        ("assemble", "heads.safetensors"),
        ("assemble", "transform.safetensors"),
        ("assemble", "gate.safetensors"),
    ],
)
def test_tensors_that_are_none_are_refused_in_one_sentence(sent, trainer, file, header, capsys):
    if file.startswith("encoder/"):
        _headed(sent.folder / file, HEADERS[header])
    folder = sent.written(trainer)
    _headed(folder / file, HEADERS[header])
    for door in CHECKPOINT_DOORS.values():
        refused(door, folder)
    scored(folder, capsys)


def _headed(path, header):
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))


@pytest.mark.parametrize("length", [2**63, 10**9])
def test_a_header_longer_than_its_file_is_not_read(sent, length):
    (sent.encoder / "model.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    said = refused(lambda folder: Encoder(path=folder).load(), sent.encoder)
    assert "damaged: its list of tensors cannot be read" in said


@pytest.mark.parametrize("trainer", WRITERS)
def test_heads_of_another_width_are_refused(sent, trainer, monkeypatch, capsys):
    monkeypatch.setattr("hostile_folders.WIDTH", 7)
    folder = sent.written(trainer)
    for door in CHECKPOINT_DOORS.values():
        assert "of 7 numbers, its encoder gives 32" in refused(door, folder).replace("their", "its")
    scored(folder, capsys)


def test_an_index_of_shards_stays_in_its_folder(sent):
    (sent.encoder / "model.safetensors").rename(sent.folder / "model.safetensors")
    index = {"weight_map": {"a": "../model.safetensors"}}
    (sent.encoder / "model.safetensors.index.json").write_text(json.dumps(index))
    said = refused(lambda folder: Encoder(path=folder).load(), sent.encoder)
    assert "names the file ../model.safetensors, which is not in its folder" in said


TEMPLATES = {
    "range": ("{% for i in range(10**9) %}x{% endfor %}", "Range too big"),
    "loops": (
        "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
        "it takes longer than 1 seconds",
    ),
    "power": ("{{ (messages | length + 1) ** 1000000000 }}", "it takes longer than 1 seconds"),
    "product": ("{{ 'x' * 10**11 }}", "it needs more than 256 MB of memory"),
    "text": ("{{ 'x' * 4 * 10**7 }}", "it writes more than 32,000,000 characters"),
    "doubling": (
        "{% set n = namespace(s='x') %}"
        "{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
        "it needs more than 256 MB of memory",
    ),
    "recursion": ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "it calls itself without end"),
    "class": ("{{ messages.__class__.__mro__ }}", "access to attribute '__class__' of"),
    "syntax": ("{% for %}", "Expected an expression, got 'end of statement block'"),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_chat_template_is_bounded_in_time_and_memory(tiny, tmp_path, name, talks, monkeypatch):
    template, reason = TEMPLATES[name]
    folder = shutil.copytree(tiny("llama"), tmp_path / "model")
    (folder / "chat_template.jinja").write_text(template)
    if "1 seconds" in reason:
        monkeypatch.setattr("rmplug_hf.tokens._chat_process.SECONDS", 1.0)
    model = SequenceClassifier(path=folder, device="cpu").load()
    with pytest.raises(RmplugError) as caught:
        model.score(one_batch(talks.table))
    assert f"refuses the conversation of pair-0/chosen (roles user, assistant): {reason}" in str(
        caught.value
    )


def test_a_template_that_is_refused_once_is_asked_again(tiny, tmp_path, talks, monkeypatch):
    folder = shutil.copytree(tiny("llama"), tmp_path / "model")
    path = folder / "chat_template.jinja"
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    path.write_text("{% if messages | length > 2 %}" + loop + "{% endif %}" + path.read_text())
    monkeypatch.setattr("rmplug_hf.tokens._chat_process.SECONDS", 1.0)
    model = SequenceClassifier(path=folder, device="cpu").load()
    short = one_batch(talks.table.slice(0, 4))
    scores = model.score(short)
    with pytest.raises(RmplugError, match="of several .* it takes longer than 1 seconds"):
        model.score(one_batch(talks.table))
    assert model.score(short).tolist() == scores.tolist()


@pytest.fixture
def adapter(tiny, tmp_path):
    """An adapter of the tiny Llama classifier."""
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import AutoModelForSequenceClassification

    base = AutoModelForSequenceClassification.from_pretrained(str(tiny("llama")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        get_peft_model(base, LoraConfig(task_type=TaskType.SEQ_CLS, r=2)).save_pretrained(
            str(tmp_path / "adapter")
        )
    return tmp_path / "adapter"


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (
            {"peft_type": "PROMPT_TUNING", "tokenizer_name_or_path": "evil/t"},
            "is a PROMPT_TUNING a",
        ),
        ({"peft_type": "XLORA", "adapters": {"a": "evil/adapter"}}, "is a XLORA adapter; adapters"),
        ({"peft_type": ["LORA"]}, "is a ['LORA'] adapter; adapters that change weights"),
        ({"peft_type": None}, "is a None adapter; adapters that change weights can be used"),
        ({"megatron_config": {"a": 1}, "megatron_core": "mine"}, "asks for megatron_config, which"),
        ({"corda_config": {"cache_file": "/etc/passwd"}}, "asks for cache_file, which an adapter"),
        ({"r": 10**9}, "does not fit the model (it says rank 1000000000, its weights have"),
        ({"target_modules": "(a+)+$"}, "target_modules of "),
        ({"target_modules": "(.|.)*!"}, "target_modules of "),
        ({"target_modules": ["(.|.)*!"]}, "target_modules of "),
        ({"exclude_modules": "a*a*a*a*a*a*!"}, "exclude_modules of "),
        ({"rank_pattern": {"(.+)+!": 2}}, "rank_pattern of "),
        ({"alpha_pattern": {"(.|.){9,}!": 2}}, "alpha_pattern of "),
        ({"target_modules": 7}, "does not fit the model ("),
        ({"rank_pattern": 7}, "does not fit the model ("),
        ({"init_lora_weights": "pissa_niter_1000000"}, "init_lora_weights of "),
        ({"loftq_config": {"loftq_iter": 10**6}}, "loftq_iter of "),
        ({"feedforward_modules": "(.|.)*!"}, "feedforward_modules of "),
        ({"modules_to_save": ["x"] * 10_001}, "modules_to_save of "),
        ({"deep": {"attn_implementation": "evil/kernel"}}, "which is code of a hub"),
    ],
)
def test_an_adapter_is_weights_and_nothing_else(tiny, adapter, entries, sentence, contacts):
    changed_json(adapter / "adapter_config.json", **entries)
    step = SequenceClassifier(path=tiny("llama"), adapter=adapter, device="cpu")
    assert sentence in refused(lambda _: step.load(), adapter)
    assert not contacts


@pytest.mark.parametrize("merge", [False, True])
def test_the_model_that_an_adapter_names_is_not_asked_for(tiny, adapter, merge, contacts):
    changed_json(adapter / "adapter_config.json", base_model_name_or_path="evil/base")
    step = SequenceClassifier(
        path=tiny("llama"), adapter=adapter, device="cpu", merge_adapter=merge
    )
    assert step.load().outputs == ("reward",)
    assert not contacts


def _replace(content, times=1, **pattern):
    one = {"type": "Replace", "pattern": pattern, "content": content}
    return {"type": "Sequence", "normalizers": [one] * times}


LONGER, ENDLESS = "makes texts longer without bounds", "has a pattern that may take for ever"


@pytest.mark.parametrize(
    ("normalizer", "sentence"),
    [
        (_replace("t" * 101, String="t"), LONGER),
        (_replace("t" * 50, 3, String="t"), LONGER),
        (_replace("t", 20, Regex=""), LONGER),
        (_replace("t", Regex="^(.|.)*!$"), ENDLESS),
        (_replace("t", Regex="(" * 5000), ENDLESS),
    ],
)
def test_a_tokenizer_that_takes_endless_time_or_memory_is_refused(sent, normalizer, sentence):
    changed_json(sent.encoder / "tokenizer.json", normalizer=normalizer)
    said = refused(lambda folder: Encoder(path=folder).load(), sent.encoder)
    assert f"the normalizer in {sent.encoder / 'tokenizer.json'} {sentence}" in said


def test_the_replacements_of_published_tokenizers_are_in_use(sent):
    normalizer = _replace("\u2581", 2, Regex=r"(?=(\d{3})+(?!\d)) {2,}")
    changed_json(sent.encoder / "tokenizer.json", normalizer=normalizer)
    assert Encoder(path=sent.encoder).load()


@pytest.mark.parametrize(
    ("file", "entries", "sentence"),
    [
        ("config.json", {"architectures": 5}, "must be a list of names"),
        ("tokenizer_config.json", {"model_max_length": "lots"}, "is no number above 0: 'lots'"),
    ],
)
def test_a_setting_of_another_type_is_refused(sent, file, entries, sentence):
    changed_json(sent.encoder / file, **entries)
    assert sentence in refused(lambda folder: Encoder(path=folder).load(), sent.encoder)
