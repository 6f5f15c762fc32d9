"""For authors of plugins: small data, a registry without discovery, and a conformance suite.

from rmplug.testing import check_step
from my_plugin import MyFeature

def test_my_feature_conforms():
    check_step(MyFeature, {"window": 3})
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .artifacts import (
    Artifact,
    Features,
    Folder,
    Identified,
    Pairs,
    Responses,
    RewardModel,
    Tabular,
)
from .disk import checksum
from .docs import field_docs
from .engine import Local
from .errors import RmplugError
from .families import DatasetLoader, Engine, ModelLoader, Observer, Step
from .graph import Gives, Node, Ref
from .handles import Handle, Scope
from .messages import text_of
from .registry import Provider, Registry, core_registry, missing_libraries
from .session import Session
from .signatures import Input, check_class, signature_of
from .store import Store
from .tables import Mapped

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

HEAVY = [
    "torch",
    "transformers",
    "trl",
    "peft",
    "datasets",
    "sklearn",
    "lightgbm",
    "sentence_transformers",
    "wandb",
    "ray",
    "matplotlib",
    "pandas",
    "numpy",
    "pyarrow",
    "scipy",
    "rich",
]

_TEXTS = (
    ("What is the capital of Australia?", "Canberra.", "Sydney, the largest city."),
    ("Name a prime above 10.", "11 is prime.", "12, since it is above 10!"),
    (
        "Write a haiku.",
        "Rain on the tin roof\nA kettle answers the storm\nI pour for us both",
        "No.",
    ),
    ("How do I boil an egg?", "1. Boil water\n2. **Eight minutes**\n3. Cool it", "Just boil it."),
    ("Grüße auf Japanisch?", "こんにちは", "Hallo 👋"),
    (
        "What is the capital of Australia?",
        "It is Canberra, since 1913.",
        "I cannot help with that.",
    ),
    ("Is 91 prime?", "No: 91 = 7 × 13.", "Great question! Yes, 91 is prime."),
)


def small_pairs(rows: int = 7) -> Pairs:
    """Pairs that differ in length, markup, script and prompt; two share a prompt."""
    texts = [_TEXTS[row % len(_TEXTS)] for row in range(rows)]
    columns = {
        "id": [f"pair-{row}" for row in range(rows)],
        "prompt": [text[0] for text in texts],
        "chosen": [text[1] for text in texts],
        "rejected": [text[2] for text in texts],
        "subset": [("facts", "writing")[row % 2] for row in range(rows)],
    }
    return Pairs(_strings(columns), "pairs")


def small_responses(rows: int = 14) -> Responses:
    """The texts of ``small_pairs`` as responses, with a label and a rating that is missing once."""
    columns: dict[str, list[Any]] = {"id": [], "prompt": [], "response": [], "label": []}
    ratings: list[float | None] = []
    for row in range(rows):
        prompt, *texts = _TEXTS[row // 2 % len(_TEXTS)]
        columns["id"].append(f"pair-{row // 2}/{('chosen', 'rejected')[row % 2]}")
        columns["prompt"].append(prompt)
        columns["response"].append(texts[row % 2])
        columns["label"].append(str(1 - row % 2))
        ratings.append(None if row == 3 else float(4 - 2 * (row % 2) + row % 3 / 10))
    import pyarrow as pa

    table = _strings(columns)
    labels = table["label"].cast(pa.int64())
    table = table.set_column(table.schema.get_field_index("label"), "label", labels)
    table = table.append_column("ratings.helpfulness", pa.array(ratings, type=pa.float64()))
    return Responses(table, "responses")


def small_features(data: Identified, name: str = "words") -> Features:
    """Three numeric columns for any data, made from the text of its rows."""
    features = Features(Mapped(data.rows, _count), name)
    return Features(features.table, name)


def _count(batch: pa.RecordBatch) -> dict[str, Any]:
    import pyarrow.compute as pc

    names = [n for n in ("chosen", "rejected", "response") if n in batch.schema.names]
    lengths = [pc.utf8_length(text_of(batch.column(name))) for name in names]
    first, last = lengths[0], lengths[-1]
    margin = pc.subtract(first, last) if len(names) == 2 else first
    return {"first": first, "last": last, "margin": pc.cast(margin, "float64")}


def _strings(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    import pyarrow as pa

    return pa.table({name: pa.array(values, type=pa.string()) for name, values in columns.items()})


class LengthModel(RewardModel):
    """A reward model that can be known by heart: a hundredth of the response's characters."""

    def score(self, responses: pa.RecordBatch) -> np.ndarray:
        """Scores of shape (rows,)."""
        import numpy as np
        import pyarrow.compute as pc

        lengths = pc.utf8_length(text_of(responses.column("response")))
        return np.asarray(lengths, dtype=np.float64) / 100


def registry_of(*modules: ModuleType | object) -> Registry:
    """The core's kinds and those of these modules, with discovery off; a fault raises."""
    registry = core_registry()
    for module in modules:
        registry.add(getattr(module, "__name__", str(module)), module)
    if registry.failed:
        raise RmplugError("; ".join(f"{p.name}: {p.problem}" for p in registry.failed))
    return registry


def run_step(
    step: Step,
    inputs: Mapping[str, Artifact | Sequence[Artifact]],
    folder: Path,
    *,
    seed: int = 0,
    workers: int = 1,
    shard_rows: int = 8192,
) -> Artifact:
    """One step on given inputs, through the store and the engine as in a real run."""
    provider = Provider(step.kind, "tested", "tested", "0", type(step))
    registry = Registry(providers={step.kind: [provider]})
    store = Store(folder)
    store.prepare()
    engine = Local(workers=workers, shard_rows=shard_rows)
    session = Session(registry, store, engine, "test", seed)
    scope = Scope()
    refs: dict[str, tuple[Ref, ...]] = {}
    lists = frozenset(name for name, given in inputs.items() if not isinstance(given, Artifact))
    for name, given in inputs.items():
        refs[name] = tuple(
            _put(session, scope, artifact, f"{name}{index or ''}")
            for index, artifact in enumerate([given] if isinstance(given, Artifact) else given)
        )
    gives = Gives(signature_of(type(step)).gives)
    node = Node("tested", provider, step.model_dump(), step, refs, lists, {}, gives)
    try:
        session.run_node(node, scope)
    finally:
        engine.close()
    return session.load(scope.handles["tested"], Ref("tested"))


def _put(session: Session, scope: Scope, artifact: Artifact, name: str) -> Ref:
    name = artifact.name or name
    if isinstance(artifact, Tabular):
        key = f"given-{name}"
        scope.handles[name] = session.keep(key, type(artifact), "given", artifact.table)
    else:
        scope.handles[name] = Handle(f"given-{name}", type(artifact), artifact)
    return Ref(name)


def check_step(
    cls: type[Step],
    params: Mapping[str, Any] | None = None,
    inputs: Mapping[str, Artifact | Sequence[Artifact]] | None = None,
    tolerance: float = 0.0,
) -> None:
    """Assert all that rmplug promises of a step: documentation, JSON round trip, declared
    requirements, light import, the promised output, ids and order kept, the same result for any
    shard size and number of workers, the same result for the same seed, and that a table of one row
    or none is either handled or refused with a message.

    Inputs are made from small data unless given by name. ``tolerance`` is how far numbers may
    differ between shard sizes: 0 unless a library in between rounds differently for batches of
    different sizes, as matrix products do. With the same shard size they must be the same.
    """
    check_class(
        cls,
        next(base for base in cls.__mro__ if base.__bases__ == (Step,) or Step in base.__bases__),
    )
    check_documentation(cls)
    step = cls.model_validate(dict(params or {}))
    assert cls.model_validate(step.model_dump(mode="json")) == step, "does not survive JSON"
    assert not missing_libraries(Provider(cls.kind, "", "", "", cls)), "a requirement is missing"
    check_light_import(cls.__module__)
    if issubclass(cls, Engine | Observer):
        return
    given = small_inputs(cls, inputs or {})
    with TemporaryDirectory() as folder:
        _check_results(step, given, Path(folder), tolerance)


def check_documentation(cls: type[Step]) -> None:
    """Every class and every parameter says what it is."""
    summary = (cls.__doc__ or "").strip().partition("\n")[0]
    assert summary, f"{cls.__name__} has no docstring"
    docs = field_docs(cls)
    for name in cls.model_fields:
        assert docs.get(name), f"{cls.__name__}.{name} has no docstring below it"


def check_light_import(module: str) -> None:
    """Importing the menu loads no heavy library."""
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}; import {module}; "
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]", f"importing {module} loads {done.stdout.strip()}"


def small_inputs(
    cls: type[Step], given: Mapping[str, Artifact | Sequence[Artifact]]
) -> dict[str, Artifact | Sequence[Artifact]]:
    """What is given, and small inputs for every other input of a step that is not optional."""
    pairs = small_pairs()
    found = dict(given)
    for entry in signature_of(cls).inputs:
        if entry.optional or entry.name in given:
            continue
        made = _small(entry, pairs)
        found[entry.name] = [made] if entry.many else made
    return found


def _small(entry: Input, pairs: Pairs) -> Artifact:
    if entry.takes(Pairs):
        return pairs
    if entry.takes(Responses):
        return small_responses()
    if RewardModel in entry.types:
        return LengthModel()
    if Features in entry.types:
        features = small_features(pairs, entry.name)
        return features if entry.many else Features(features.select("margin").table, entry.name)
    raise AssertionError(f"give an input {entry.name}: {entry}; none can be made up")


def _check_results(
    step: Step,
    given: dict[str, Artifact | Sequence[Artifact]],
    folder: Path,
    tolerance: float,
) -> None:
    if isinstance(step, ModelLoader):
        return
    first = run_step(step, given, folder / "first", seed=1)
    again = run_step(step, given, folder / "again", seed=1, workers=2, shard_rows=2)
    assert isinstance(first, signature_of(type(step)).gives), "gives what it did not promise"
    assert_same(first, again, tolerance)
    if tolerance:
        alone = run_step(step, given, folder / "alone", seed=1, workers=1, shard_rows=2)
        assert_same(again, alone)
    data = next((a for a in given.values() if isinstance(a, Pairs | Responses)), None)
    if data is not None and isinstance(first, Features):
        assert first["id"].equals(data["id"]), "ids or their order changed"
    if isinstance(step, DatasetLoader):
        return
    for rows in (1, 0):
        cut = {name: _cut(value, rows) for name, value in given.items()}
        try:
            run_step(step, cut, folder / f"rows-{rows}", seed=1)
        except RmplugError as error:
            assert str(error), "refuses few rows without saying why"


def assert_same(first: Artifact, second: Artifact, tolerance: float = 0.0) -> None:
    """Two artifacts hold the same: equal tables (numbers up to ``tolerance``), or files with equal
    bytes."""
    if isinstance(first, Tabular):
        assert isinstance(second, Tabular)
        assert _close(first, second, tolerance), "differs by shard size, workers or run"
    elif isinstance(first, Folder):
        assert isinstance(second, Folder)
        assert _sums(first) == _sums(second), "files differ between two runs with the same seed"


def _close(first: Tabular, second: Tabular, tolerance: float) -> bool:
    """Whether columns of floating-point numbers and vectors are close, and all others equal."""
    import numpy as np
    import pyarrow as pa

    if not first.table.schema.equals(second.table.schema):
        return False
    for one, two in zip(first.table.columns, second.table.columns, strict=True):
        if pa.types.is_fixed_size_list(one.type):
            one, two = (pa.concat_arrays(c.chunks).flatten() for c in (one, two))
        if not pa.types.is_floating(one.type):
            if not one.equals(two):
                return False
        elif not np.allclose(one, two, rtol=0, atol=tolerance, equal_nan=True):
            return False
    return True


def _sums(artifact: Folder) -> dict[str, str]:
    root = artifact.directory
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): checksum(path) for path in files}


def _cut(value: Artifact | Sequence[Artifact], rows: int) -> Artifact | Sequence[Artifact]:
    if isinstance(value, Tabular):
        return type(value)(value.table.slice(0, rows), value.name)
    return value if isinstance(value, Artifact) else [_cut(entry, rows) for entry in value]  # type: ignore[misc]
