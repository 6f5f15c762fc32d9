"""Assembly of a reward model from its parts: checks that they belong together, and calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rmplug import Checkpoint, DataError, Features, Fit, Pairs, RewardModel
from rmplug.data.rows import one_batch
from rmplug.models.head_encoders import encoder_of
from rmplug.models.state_encoder import StateEncoder
from rmplug.stats.metric_rows import mean_of, measured, number, share_of, wins
from rmplug_armorm.debias._transform_file import Transform
from rmplug_armorm.gate._constant import fit_scale
from rmplug_armorm.gate._examples import GateExamples, examples_of
from rmplug_armorm.gate._fitting import transform_of
from rmplug_armorm.gate._gate import AttributeGate, ConstantGate
from rmplug_armorm.gate._gate_file import digest_of, read_about, read_gate
from rmplug_armorm.gate._prompts import spread_rows
from rmplug_armorm.heads._heads_file import Heads, read_heads
from rmplug_armorm.heads._states import matrix_of

from ._given_states import PAIR, encoded, prove
from ._mixture import Mixture
from ._model import AssembledModel, AssemblyFacts, save
from ._prompt_end import prompt_end_of

MODEL = "assembled"


def assemble(
    encoder: RewardModel,
    heads: Fit,
    gate: Checkpoint | None,
    debias: Fit | None,
    data: Pairs | None,
    states: Features | None,
    seed: int,
    directory: Path,
) -> list[dict[str, Any]]:
    """Assemble the model, write its folder, and return the numbers of the gate and the
    calibration."""
    attribute_heads = read_heads(heads.directory)
    transform = transform_of(attribute_heads, debias)
    mixture = Mixture(attribute_heads, transform, _gate_of(gate, attribute_heads, transform))
    prompt_encoder = encoder_of(encoder)
    _check_width(prompt_encoder, attribute_heads)
    end = "turn" if gate is None else prompt_end_of(prompt_encoder, gate)
    model = AssembledModel(prompt_encoder, mixture, end)
    numbers: list[dict[str, Any]] = [] if gate is None else list(gate.numbers)
    temperature = 1.0
    if data is not None:
        examples = examples_of(attribute_heads, transform, _states(model, data, states), data)
        temperature, more = calibrated(mixture, examples, seed)
        numbers += more
    final = Mixture(attribute_heads, transform, mixture.gate, temperature)
    origin = model.encoder.origin()
    assert origin is not None
    assembled = AssembledModel(prompt_encoder, final, end)
    save(directory, assembled, AssemblyFacts(origin, end, temperature, numbers))
    return numbers


def _gate_of(gate: Checkpoint | None, heads: Heads, transform: Transform) -> AttributeGate:
    """Return the gate, if it was trained on these heads and this transform; else equal weights."""
    if gate is None:
        alive = np.abs(transform.matrix).sum(axis=0) > 0
        return ConstantGate(alive / alive.sum())
    about = read_about(gate.directory).get("about", {})
    if about.get("heads") != digest_of(heads.weight, heads.bias):
        raise DataError(
            f"the gate {gate.name} was trained on other heads; give the ones it was trained on"
        )
    if about.get("transform") != digest_of(transform.matrix):
        raise DataError(
            f"the gate {gate.name} was trained with another debiasing (or none); give the debias "
            "step that it was trained with, or train the gate again"
        )
    return read_gate(gate.directory)


def _check_width(encoder: StateEncoder, heads: Heads) -> None:
    row = {"role": "user", "content": "Hello."}
    probe = pa.RecordBatch.from_pydict({"id": ["probe"], "prompt": [[row]], "response": [[row]]})
    size, width = encoder.vectors(probe).shape[1], heads.weight.shape[1]
    if size != width:
        raise DataError(
            f"the encoder gives states of {size} numbers, the heads read {width}; give the "
            "encoder whose states the heads were fitted on"
        )


def _states(model: AssembledModel, data: Pairs, states: Features | None) -> Features:
    """Return the states of the pairs: encoded now, or the given ones after a few rows were
    verified."""
    if not len(data):
        raise DataError("there are no pairs to calibrate on; leave data out, or give pairs")
    if states is None:
        every_row = one_batch(data.table)
        return Features({"id": data["id"], **encoded(model, every_row, PAIR)}, data.name)
    rows = pc.index_in(data["id"], value_set=states["id"].combine_chunks())
    few = rows.take(pa.array(spread_rows(len(data))))
    if rows.null_count == 0:
        sampled = states.table.take(few)
        stored = {
            side: matrix_of(
                sampled[side].combine_chunks(), sampled[side].type.list_size, states.name
            )
            for side in PAIR
            if side in sampled.column_names
        }
        prove(
            model, one_batch(data.table.take(pa.array(spread_rows(len(data))))), stored, states.name
        )
    return states


def calibrated(
    mixture: Mixture, examples: GateExamples, seed: int
) -> tuple[float, list[dict[str, Any]]]:
    """Return the temperature with the least log-loss, and the numbers before and after it."""
    lead = mixture.gate.margins(examples.chosen, examples.rejected, examples.prompts)
    factor = fit_scale(lead, examples.margins, examples.weights)
    temperature = 1 / factor if factor > 1e-6 else 1.0
    columns = {
        "right": wins(lead),
        "before": np.logaddexp(0, -lead),
        "after": np.logaddexp(0, -lead / temperature),
    }
    statistics = {
        "accuracy": share_of("right"),
        "log-loss-before": mean_of("before"),
        "log-loss-after": mean_of("after"),
    }
    rows = measured(columns, statistics, examples.groups, seed)
    rows.append(number("temperature-of-scores", temperature, len(examples)))
    return temperature, [{**row, "model": MODEL, "kind": "model"} for row in rows]
