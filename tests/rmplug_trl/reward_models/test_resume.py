"""Trainings that are killed: the next run ends with the weights of an unbroken one."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from fresh_processes import start_fresh
from polite import base_of, polite_pairs
from pydantic import PrivateAttr
from safetensors.torch import load_file, save_file

import rmplug
from rmplug import Observer, StepError
from rmplug.testing.tiny_models import Architecture
from rmplug_trl.training._resumption import seal

STEPS = 12


def spec_of(folder: Path, architecture: Architecture, lora: bool, **params: Any) -> dict[str, Any]:
    """Write data and return the spec of a training that saves every third step, of which the second
    is amid an epoch of five."""
    rows = polite_pairs(40).table.to_pylist()
    data = folder / "pairs.jsonl"
    keys = ("id", "prompt", "chosen", "rejected")
    data.write_text("".join(json.dumps({k: row[k] for k in keys}) + "\n" for row in rows))
    base = base_of(architecture, folder.parent / "models")
    return {
        "name": "resumed",
        "seed": 7,
        "steps": {
            "pairs": {"kind": "pairs-file", "params": {"path": str(data)}},
            "base": {
                "kind": "sequence-classifier",
                "params": base.model_dump(mode="json", exclude_unset=True),
            },
            "model": {
                "kind": "reward-model",
                "inputs": {"model": "base", "data": "pairs", "validation": "pairs"},
                "params": {
                    "max_steps": STEPS,
                    "save_steps": 3,
                    "eval_steps": 4,
                    "logging_steps": 1,
                    "learning_rate": 0.001,
                    "dropout": 0.1,
                    "load_best_model_at_end": True,
                    **({"lora": {"r": 4, "lora_dropout": 0.1}} if lora else {}),
                    **params,
                },
            },
        },
    }


def weights_in(run: rmplug.Run) -> bytes:
    """Return the weights that were saved."""
    [file] = run["model"].directory.glob("*.safetensors")
    return file.read_bytes()


def curve_in(run: rmplug.Run) -> list[tuple[str, Any, float]]:
    """Return the curves of a training."""
    return [(r["metric"], r["step"], r["value"]) for r in run["model"].numbers if "step" in r]


def killed(spec: dict[str, Any], folder: Path, checkpoints: int) -> Path:
    """Run a spec in a process of its own, kill it after so many checkpoints, and return the folder
    of its work."""
    store = folder / "store"
    process = start_fresh(run_in, spec, store)
    for _ in range(6000):
        found = list(store.glob("partial/reward-model-*/work/checkpoint-*/seal.json"))
        newest = max((int(f.parent.name.partition("-")[2]) for f in found), default=0)
        if newest >= 3 * checkpoints or not process.is_alive():
            break
        time.sleep(0.02)
    assert process.is_alive(), "the run ended before it could be killed"
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    return next(store.glob("partial/reward-model-*/work"))


def run_in(spec: dict[str, Any], store: Path) -> None:
    """Run a spec."""
    rmplug.run(spec, store=store)


class Steps(Observer):
    """The steps of training that are told; it interrupts the run at one of them."""

    kind = "steps-of-training"
    stop: int | None = None
    _done: list[int] = PrivateAttr(default_factory=list)

    @property
    def done(self) -> list[int]:
        return self._done

    def step_progress(self, step: Any, done: int, total: int | None) -> None:
        if step.id == "model":
            self._done.append(done)
            if done == self.stop:
                raise KeyboardInterrupt


def interrupted(spec: dict[str, Any], store: Path, at: int) -> Path:
    """Interrupt a run in the middle of its training, and return the folder of its work."""
    with pytest.raises(KeyboardInterrupt):
        rmplug.run(spec, store=store, observers=[Steps(stop=at)])
    return next(store.glob("partial/reward-model-*/work"))


def test_a_killed_training_goes_on_and_ends_with_the_same_weights(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "gpt2", lora=True, max_steps=24)
    killed(spec, tmp_path, checkpoints=2)
    steps = Steps()
    resumed = rmplug.run(spec, store=tmp_path / "store", observers=[steps])
    assert min(steps.done) > 6
    unbroken = rmplug.run(spec, store=tmp_path / "other")
    assert weights_in(resumed) == weights_in(unbroken)
    assert curve_in(resumed) == curve_in(unbroken)


@pytest.mark.parametrize(
    "further",
    [
        {"train_sampling_strategy": "random"},
        {"launcher": {"processes": 2}, "per_device_train_batch_size": 4},
    ],
)
def test_a_training_goes_on_amid_an_epoch_in_the_order_of_that_epoch(
    tmp_path: Path, further: dict[str, Any]
) -> None:
    spec = spec_of(tmp_path, "qwen2", lora=False, **further)
    interrupted(spec, tmp_path / "store", at=8)
    steps = Steps()
    resumed = rmplug.run(spec, store=tmp_path / "store", observers=[steps])
    assert min(steps.done) > 6
    unbroken = rmplug.run(spec, store=tmp_path / "other")
    assert weights_in(resumed) == weights_in(unbroken)
    assert curve_in(resumed) == curve_in(unbroken)


def test_a_training_that_ended_amid_an_epoch_is_not_trained_further(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "qwen2", lora=False, max_steps=9)
    work = interrupted(spec, tmp_path / "store", at=9)
    assert not (work / "checkpoint-9").exists()
    steps = Steps()
    resumed = rmplug.run(spec, store=tmp_path / "store", observers=[steps])
    assert (min(steps.done), max(steps.done)) == (7, 9)
    [counted] = [r["value"] for r in resumed["model"].numbers if r["metric"] == "steps"]
    assert counted == 9


def test_a_damaged_newest_checkpoint_is_told_and_the_one_before_is_used(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "qwen2", lora=False)
    work = interrupted(spec, tmp_path / "store", at=11)
    assert sorted(path.name for path in work.glob("checkpoint-*")) == [
        "checkpoint-6",
        "checkpoint-9",
    ]
    file = work / "checkpoint-9" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    steps = Steps()
    resumed = rmplug.run(spec, store=tmp_path / "store", observers=[steps])
    assert min(steps.done) == 7
    notices = resumed.record.steps["model"].notices
    [told] = [n for n in notices if n["what"].startswith("checkpoint")]
    assert told["ids"] == ["checkpoint-9 (model.safetensors is damaged)"]
    assert weights_in(resumed) == weights_in(rmplug.run(spec, store=tmp_path / "other"))


def test_a_checkpoint_without_its_optimiser_is_not_used(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "qwen2", lora=False, max_steps=6)
    work = interrupted(spec, tmp_path / "store", at=5)
    (work / "checkpoint-3" / "optimizer.pt").unlink()
    steps = Steps()
    resumed = rmplug.run(spec, store=tmp_path / "store", observers=[steps])
    assert min(steps.done) == 1
    [told] = [n for n in resumed.record.steps["model"].notices if n["what"].startswith("check")]
    assert told["ids"] == ["checkpoint-3 (optimizer.pt is missing)"]


def test_a_checkpoint_that_holds_something_else_is_refused_in_one_sentence(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "qwen2", lora=False, max_steps=6)
    checkpoint = interrupted(spec, tmp_path / "store", at=5) / "checkpoint-3"
    kept = shutil.copytree(checkpoint, tmp_path / "kept")
    weights = {n: torch.zeros(3) for n in load_file(checkpoint / "model.safetensors")}
    changes = {
        "model.safetensors": lambda path: save_file(weights, path),
        "trainer_state.json": lambda path: path.write_text("[]"),
        "validation.json": lambda path: path.write_text("3 of them"),
    }
    for name, change in changes.items():
        assert (kept / name).is_file()
        change(checkpoint / name)
        seal(checkpoint)
        with pytest.raises(
            StepError, match=r"cannot go on from .*checkpoint-3, which holds"
        ) as told:
            rmplug.run(spec, store=tmp_path / "store")
        assert "remove that folder" in str(told.value) and "\n" not in str(told.value)
        shutil.copy(kept / name, checkpoint / name)
    seal(checkpoint)
    steps = Steps()
    rmplug.run(spec, store=tmp_path / "store", observers=[steps])
    assert min(steps.done) == 4


def test_what_the_loss_has_learnt_survives_a_kill(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "qwen2", False, loss={"kind": "davidson", "ties": "verdict"})
    file = tmp_path / "pairs.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    tied = [{**row, "verdict": "tie" if n % 4 == 0 else "A"} for n, row in enumerate(rows)]
    file.write_text("".join(json.dumps(row) + "\n" for row in tied))
    interrupted(spec, tmp_path / "store", at=11)
    resumed = rmplug.run(spec, store=tmp_path / "store")
    unbroken = rmplug.run(spec, store=tmp_path / "other")
    [nu, same] = [
        next(r["value"] for r in run["model"].numbers if r["metric"] == "nu")
        for run in (resumed, unbroken)
    ]
    assert nu == same
