"""A folder that transformers loads: backbone, heads, transform and gate with a modelling file."""

from __future__ import annotations

import html
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from transformers.utils import logging

from rmplug import DataError, RewardModel
from rmplug.errors import some
from rmplug_armorm.assembly._model import AssembledModel
from rmplug_armorm.gate._gate import ConstantGate, NetworkGate

from . import _modeling_interpretable_reward as modeling

CODE = "modeling_interpretable_reward"
NEAR = 1e-4
TALKS = (
    (("Is 91 prime?",), "No: 91 = 7 × 13."),
    (("Name a river.", "The Elbe.", "Longer, please."), "The Danube, and the Volga is longer."),
)
PAGE = """<!doctype html><meta charset="utf-8"><title>Reward model</title>
<h1>Reward model for transformers</h1>
<p>Scores a conversation, and says what the score is made of: {count} attributes ({names}).</p>
<pre>from transformers import AutoModelForSequenceClassification, AutoTokenizer
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True)
found = model(**ids)
found.score, dict(zip(model.config.attributes, found.contributions[0].tolist()))</pre>
<p>Its code is <a href="{code}.py">{code}.py</a>: read it before you trust it.</p>
"""


def export(model: RewardModel, directory: Path) -> None:
    """Write the folder, load it again, and compare scores."""
    opened = model.open()
    if not isinstance(opened, AssembledModel):
        raise DataError(
            f"{model.name or type(opened).__name__} cannot be exported; give a model that "
            "assemble made"
        )
    check_exportable(opened)
    loaded = opened.encoder.loaded  # type: ignore[attr-defined]
    built = build(opened, loaded)
    verify(opened, built, loaded)
    bars = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        built.save_pretrained(directory)
        loaded.tokenizer.save_pretrained(directory)
    finally:
        if bars:
            logging.enable_progress_bar()
    shutil.copyfile(Path(modeling.__file__), directory / f"{CODE}.py")
    names = html.escape(", ".join(opened.attributes))
    page = PAGE.format(count=len(opened.attributes), names=names, code=CODE)
    (directory / "index.html").write_text(page, encoding="utf-8")


def check_exportable(model: AssembledModel) -> None:
    """Raise DataError unless the modelling file can do all that the model does."""
    origin = model.encoder.origin()
    params = {} if origin is None else origin.params
    wanted = {"template": "chat", "pooling": "last", "layer": -1, "normalise": False}
    other = [f"{name}: {params.get(name)}" for name, v in wanted.items() if params.get(name) != v]
    if params.get("adapter") is not None and not params.get("merge_adapter"):
        other.append("adapter (merge_adapter: true merges it)")
    if params.get("system") is not None:
        other.append("system")
    other += [f"debiasing against {name}" for name in model.mixture.measures]
    if other or not hasattr(model.encoder, "loaded"):
        raise DataError(
            "export-transformers needs an encoder with template: chat, pooling: last, layer: -1 "
            f"and no more; this one has {some(other) or 'no model of transformers'}"
        )
    if not isinstance(model.mixture.gate, ConstantGate | NetworkGate):
        raise DataError(
            f"a gate of {model.mixture.gate.kind} cannot be exported; train one of mlp, linear or "
            "constant"
        )


def build(model: AssembledModel, loaded: Any) -> modeling.InterpretableRewardModel:
    """Build the model as transformers will load it, on the CPU."""
    mixture, gate = model.mixture, model.mixture.gate
    heads = mixture.heads
    pattern, offset = response_start(loaded.tokenizing, model.part)
    widths: list[int] = []
    if isinstance(gate, NetworkGate):
        widths = [heads.weight.shape[1], *(len(bias) for _, bias in gate.layers)]
    body = loaded.model.base_model
    config = modeling.InterpretableRewardConfig(
        backbone=body.config.to_dict(),
        attributes=list(heads.names),
        gating_widths=widths,
        gating_temperature=gate.temperature if isinstance(gate, NetworkGate) else 1.0,
        gating_signed=isinstance(gate, NetworkGate) and gate.signed,
        score_temperature=mixture.temperature,
        response_start_ids=pattern,
        prompt_offset=offset,
        auto_map={
            "AutoConfig": f"{CODE}.InterpretableRewardConfig",
            "AutoModelForSequenceClassification": f"{CODE}.InterpretableRewardModel",
        },
        pad_token_id=loaded.tokenizer.pad_token_id,
    )
    built = modeling.InterpretableRewardModel(config)
    built.model = body
    built.to("cpu")
    tensors = gate.tensors() if isinstance(gate, NetworkGate) else {"weights": gate.values}  # type: ignore[attr-defined]
    named = {
        "regression_layer.weight": heads.weight,
        "regression_layer.bias": heads.bias,
        "reward_transform_matrix": mixture.transform,
        **{f"gating.{name}": values for name, values in tensors.items()},
    }
    state = {name: torch.tensor(np.asarray(v), dtype=torch.float32) for name, v in named.items()}
    built.load_state_dict(state, strict=False)
    built.eval()
    return built


def response_start(tokenizing: Any, part: str) -> tuple[list[int], int]:
    """Find the tokens that end any prompt, and which of them ends the part that the gate reads."""
    asked = [[{"role": "user", "content": text}] for text in ("Is 91 prime?", "Name a river.")]
    rows = pa.RecordBatch.from_pydict({"id": ["0", "1"], "prompt": asked})
    one, other = (row.ids.tolist() for row in tokenizing.rows(rows, "prompt"))
    turned = zip(reversed(one), reversed(other), strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], turned))
    read = tokenizing.rows(rows, part)[0].ids.tolist()
    offset = len(read) - 1 - (len(one) - shared)
    if offset < 0 or one[: len(read)] != read:
        raise DataError(
            "the chat template ends a prompt with nothing of its own: the end of a prompt cannot "
            "be found in a whole conversation"
        )
    return one[len(one) - shared :], offset


def verify(model: AssembledModel, built: modeling.InterpretableRewardModel, loaded: Any) -> None:
    """Check that both models give a few conversations the same scores; raises DataError."""
    roles = ("user", "assistant", "user")
    prompts = [
        [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
        for turns, _ in TALKS
    ]
    answers = [[{"role": "assistant", "content": answer}] for _, answer in TALKS]
    ids = [str(number) for number in range(len(TALKS))]
    rows = pa.RecordBatch.from_pydict({"id": ids, "prompt": prompts, "response": answers})
    ours = model.explain(rows).score
    theirs = []
    for prompt, answer in zip(prompts, answers, strict=True):
        text = loaded.tokenizer.apply_chat_template([*prompt, *answer], tokenize=False)
        asked = loaded.tokenizer(text, add_special_tokens=False, return_tensors="pt")
        with torch.no_grad():
            theirs.append(float(built(asked["input_ids"].cpu()).score[0]))
    loose = NEAR if loaded.model.dtype == torch.float32 else 0.05
    if not np.allclose(ours, theirs, rtol=loose, atol=loose):
        raise DataError(
            f"the exported model does not score as this one does ({some(map(str, theirs))} instead "
            f"of {some(map(str, ours.tolist()))}); only causal models, which read a prompt without "
            "its response the same way, can be exported"
        )
