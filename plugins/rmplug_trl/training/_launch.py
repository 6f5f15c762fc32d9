"""Training in several processes: started, watched, and told on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rmplug import DataError, Pairs, Responses, RmplugError
from rmplug.models.trainable import TrainableModel

if TYPE_CHECKING:
    from .settings import Launcher

JOB, TOLD, WEIGHTS, OUTCOME = "job.json", "told.jsonl", "trained.safetensors", "outcome.json"
PAUSE = 0.2


@dataclass(frozen=True)
class Job:
    """A training as files, for the processes that do it: the settings, the loader of the model,
    and the data."""

    run: str
    """The function that trains in a process, ``module:name``; it gets the job."""
    step: Mapping[str, Any]
    loader: Mapping[str, Any]
    data: Mapping[str, Any]
    seed: int
    work: Path

    @classmethod
    def write(
        cls,
        run: str,
        step: Any,
        model: TrainableModel,
        data: Mapping[str, Pairs | Responses],
        seed: int,
        work: Path,
    ) -> Job:
        """Write a job into the work folder."""
        tables = {name: _write_table(name, table, work) for name, table in data.items()}
        job = cls(run, describe(step), describe(model.loader), tables, seed, work)
        written = {**vars(job), "work": str(work)}
        (work / JOB).write_text(json.dumps(written), encoding="utf-8")
        return job

    @classmethod
    def read(cls, path: Path) -> Job:
        """Read a job back."""
        written = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**written, "work": Path(written["work"])})

    def table(self, name: str) -> Any:
        """Return a table of the job; None where it has none of that name."""
        import pyarrow.parquet as pq

        if name not in self.data:
            return None
        kind = {"Pairs": Pairs, "Responses": Responses}[self.data[name]["type"]]
        return kind(pq.read_table(self.work / self.data[name]["file"]), name)


def describe(step: Any) -> dict[str, Any]:
    """Return where a step's class is, and the parameters that were given, as in JSON."""
    cls = type(step)
    # what is inside a parameter is written whole: a loss made in Python has its kind by default
    params = {n: v for n, v in step.model_dump(mode="json").items() if n in step.model_fields_set}
    return {"module": cls.__module__, "name": cls.__name__, "params": params}


def made(described: Mapping[str, Any], **more: Any) -> Any:
    """Return a step from its description."""
    from importlib import import_module

    cls = getattr(import_module(described["module"]), described["name"])
    return cls.model_validate({**described["params"], **more})


def _write_table(name: str, data: Pairs | Responses, work: Path) -> dict[str, str]:
    import pyarrow.parquet as pq

    pq.write_table(data.table, work / f"{name}.parquet")
    kind = "Pairs" if isinstance(data, Pairs) else "Responses"
    return {"type": kind, "file": f"{name}.parquet"}


def run_processes(job: Job, launcher: Launcher, tell: Callable[..., None], cpu: bool) -> None:
    """Run the job's function in all processes, and tell what the first of them tells. Raises
    DataError with the last words of one that fails."""
    told, output = job.work / TOLD, job.work / "processes.log"
    told.write_bytes(b"")
    environment = {**os.environ, "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    environment.setdefault("OMP_NUM_THREADS", "1")
    with output.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rmplug_trl.training._process", *command(job, launcher, cpu)],
            stdin=subprocess.PIPE,  # its end tells the processes that this one is gone
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        try:
            for line in follow(told, process):
                tell(line.pop("done"), line.pop("total"), **line)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait()
    if process.returncode:
        raise DataError(_last_words(output, process.returncode))


def command(job: Job, launcher: Launcher, cpu: bool) -> list[str]:
    """Return the words after ``python -m rmplug_trl.training._process``: the launching module, its
    arguments, and the module that trains in each process with the file of its job."""
    trained = ["-m", "rmplug_trl.training._process", "work", str(job.work / JOB)]
    if launcher.kind == "torchrun":
        single = ["--standalone", f"--nproc_per_node={launcher.processes}"]
        return ["torch.distributed.run", *single, *trained]
    config = ["--config_file", str(config_file(launcher.config or ""))]
    count = ["--num_processes", str(launcher.processes)]
    return ["accelerate.commands.launch", *config, *count, *(["--cpu"] if cpu else []), *trained]


def check_processes(launcher: Launcher, running: int) -> None:
    """Refuse to train in other processes than those that were asked for: accelerate starts a single
    one, without a word, where a configuration asks for several on a CPU without MPI."""
    if running != launcher.processes:
        raise DataError(
            f"launcher.processes is {launcher.processes}, but {running} were started; mend "
            "launcher.config, or on a CPU take kind: torchrun"
        )


def config_file(named: str) -> Path:
    """Return a configuration of accelerate: a file, or one that TRL brings."""
    import trl

    folder = Path(trl.__file__).parent / "accelerate_configs"
    for path in (Path(named), folder / f"{named}.yaml"):
        if path.is_file():
            return path
    known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
    raise RmplugError(
        f"launcher.config: no file {named}, and TRL brings none of that name: {known}"
    )


def follow(told: Path, process: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file while a process writes them."""
    with told.open(encoding="utf-8") as lines:
        rest = ""
        while True:
            ended = process.poll() is not None
            rest += lines.read()
            *whole, rest = rest.split("\n")
            yield from (json.loads(line) for line in whole if line)
            if ended:
                return
            time.sleep(PAUSE)


def _last_words(output: Path, code: int) -> str:
    text = output.read_text(encoding="utf-8", errors="replace")
    launchers = ("ChildFailed", "CalledProcess")
    errors = [
        line
        for line in text.splitlines()
        if "Error" in line and not any(name in line for name in launchers)
    ]
    return (
        f"a process of the launcher ended with {code}: "
        f"{(errors or text.splitlines() or ['without a word'])[-1].strip()}"
    )
