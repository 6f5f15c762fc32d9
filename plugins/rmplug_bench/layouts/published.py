"""Loaders of published benchmarks, one kind per layout: from their files, or from the hub."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from rmplug import DatasetLoader, InputPaths, Known, Names, Pairs, Responses

if TYPE_CHECKING:
    import pyarrow as pa


PAIR = ("id", "group", "prompt", "chosen", "rejected", "subset")
CHOICE = ("id", "group", "prompt", "response", "case", "label", "subset")


class Published(DatasetLoader):
    """Rows of a published benchmark, from files or from the hub."""

    path: InputPaths | None = None
    """The published file, files or pattern: JSON, JSON Lines, CSV, TSV or Parquet, gzip or not."""
    name: str | None = Field(default=None, examples=["allenai/reward-bench"])
    """The name on the hub, instead of files; needs the extra `hf`. Its commit is part of the
    fingerprint."""
    revision: str | None = None
    """Commit, tag or branch of ``name``; the main branch when not given."""
    config: Names | None = None
    """The configuration of ``name``, or several, where the data set has them."""
    split: Names | None = None
    """The split of ``name``, or several; when not given, the one that holds the benchmark."""
    bad_rows: Literal["error", "drop"] = "error"
    """Treatment of rows that cannot be read or do not have the layout: stop and name them, or leave
    them out and count them."""

    usual: ClassVar[tuple[str, ...]] = ("train",)
    gives: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _check(self) -> Published:
        if (self.path is None) == (self.name is None):
            raise ValueError("give either path (files) or name (a data set on the hub)")
        if self.name is None and (self.revision or self.config or self.split):
            raise ValueError("revision, config and split belong to name, not to path")
        if self.name is not None and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", self.name):
            raise ValueError(f"{self.name!r} is no name on the hub; for files write path")
        return self

    def batches(self, layout: str) -> Iterator[pa.Table]:
        """Yield the rows as tables of pairs or responses."""
        from ._batches import file_batches, hub_batches

        if self.path is not None:
            return file_batches(self.path, layout, self.bad_rows)
        assert self.name is not None
        splits = self.split or self.usual
        return hub_batches(
            self.name, self.revision, self.config or (), splits, layout, self.bad_rows
        )

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        return Known(columns=self.gives)

    def identity(self) -> Mapping[str, Any]:
        """Return the commit that a name on the hub stands for."""
        if self.name is None:
            return {}
        from rmplug.models.hub import commit_of

        return {"commit": commit_of(self.name, self.revision, "dataset")}


class PublishedPairs(Published):
    """Pairs of a published benchmark."""

    def load(self) -> Pairs:
        return Pairs.stream(self.batches(self.kind))


class PublishedResponses(Published):
    """Responses of a published benchmark: several to a prompt."""

    def load(self) -> Responses:
        return Responses.stream(self.batches(self.kind))


class RewardBench(PublishedPairs):
    """Load RewardBench, its prior sets, or anything in its layout, as pairs.

    Rows have ``prompt``, ``chosen``, ``rejected``, ``subset`` and, where known, ``id``,
    ``chosen_model`` and ``rejected_model``. Ids that are numbers become ``<subset>:<id>``.
    On the hub: ``allenai/reward-bench``, split ``filtered`` (2,985 pairs). Lambert et al. 2024,
    arXiv:2403.13787.
    """

    kind = "rewardbench"
    usual = ("filtered",)
    gives = (*PAIR, "chosen_model", "rejected_model")


class MRewardBench(PublishedPairs):
    """Load M-RewardBench, the pairs of RewardBench in 23 languages.

    Rows are those of ``rewardbench`` with ``language``; without one, the folder of the file says
    it. The same pair in several languages is one ``group``: they are resampled together. On the
    hub: ``CohereLabsCommunity/multilingual-reward-bench``, split ``test``, with a configuration per
    language (``deu_Latn``). Gureja et al. 2024, arXiv:2410.15522.
    """

    kind = "m-rewardbench"
    usual = ("test",)
    gives = (*PAIR, "chosen_model", "rejected_model", "language")


class RewardBench2(PublishedResponses):
    """Load RewardBench 2: one right response of four, and ties, as responses.

    Rows have ``prompt``, ``chosen`` and ``rejected`` (lists), ``subset``, ``id`` and, where known,
    ``models``. Gives a row per response with ``label`` 1 (right) or 0, ``case`` (the id of the
    published row) and, for Ties, ``kind`` (``ref``: one right response, ``tied``: several); the
    ``ref`` and ``tied`` rows of one number are one ``group``. On the hub:
    ``allenai/reward-bench-2``, split ``test`` (1,865 prompts). Malik et al. 2025, arXiv:2506.01937.
    """

    kind = "rewardbench-2"
    usual = ("test",)
    gives = (*CHOICE, "kind", "model")


class RMBench(PublishedResponses):
    """Load RM-Bench: right and wrong responses in three styles each, as responses.

    Rows have ``prompt``, ``chosen`` and ``rejected`` (lists of three: concise, detailed plain,
    detailed with markdown) and ``domain``. Gives six rows for each with ``label`` 1 or 0,
    ``style`` (``concise``, ``plain``, ``markdown``), ``case`` and ``subset`` (the domain). On the
    hub: ``THU-KEG/RM-Bench``. Liu et al. 2024, arXiv:2410.16184.
    """

    kind = "rm-bench"
    gives = (*CHOICE, "style")


class JudgeBench(PublishedPairs):
    """Load JudgeBench: pairs of which one response is objectively right.

    Rows have ``pair_id``, ``question``, ``response_A``, ``response_B``, ``label`` (``A>B`` or
    ``B>A``) and ``source``; recorded outputs of judges have the same. Gives ``place`` (0 where the
    right response was A, 1 where it was B), ``source``, and as ``subset`` the domain (knowledge,
    reasoning, math, coding). On the hub: ``ScalerLab/JudgeBench``, splits ``gpt`` (350 pairs) and
    ``claude`` (270). Tan et al. 2024, arXiv:2410.12784.
    """

    kind = "judgebench"
    usual = ("gpt",)
    gives = (*PAIR, "place", "source", "response_model")


class LLMBar(PublishedPairs):
    """Load LLMBar: pairs of which one output follows the instruction.

    Rows have ``input``, ``output_1``, ``output_2`` and ``label`` (1 or 2). The ``subset`` is the
    folder of the file (``LLMBar/Natural``, ``LLMBar/Adversarial/Neighbor``), and ``place`` is 0
    where the better output was the first. Give the files of its repository (``dataset.json`` in
    each folder): on the hub there is only a script. Zeng et al. 2023, arXiv:2310.07641.
    """

    kind = "llmbar"
    gives = (*PAIR, "place")


class RMB(Published):
    """Load RMB, its pairs or its best-of-N lists.

    Pairs have ``conversation_input``, ``chosen`` and ``reject`` (with ``answer`` and ``llm_name``);
    lists have ``bon_best`` and ``loser_list``. The ``subset`` is ``category_path`` without its
    first part: ``Helpfulness/Chat/Discussion``, ``Harmlessness/S1``. Lists give a row per response
    with ``case`` and ``label`` (1 for the best, 0 for the others). One prompt feeds many pairs.
    Zhou et al. 2024, arXiv:2410.09893.
    """

    kind = "rmb"

    rows: Literal["pairs", "best-of-n"] = "pairs"
    """Set of the files: pairs, or best-of-N lists."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        if self.rows == "pairs":
            return Known((Pairs,), (*PAIR, "chosen_model", "rejected_model"))
        return Known((Responses,), (*CHOICE, "model"))

    def load(self) -> Pairs | Responses:
        kind = Pairs if self.rows == "pairs" else Responses
        return kind.stream(self.batches(f"rmb/{self.rows}"))


class RewardMath(PublishedResponses):
    """Load RewardMATH: one right and nine wrong solutions of a problem, as responses.

    Rows have one solution each: ``problem``, ``eval_solution`` (a list of steps, joined by line
    ends), ``solution_type`` (``chosen`` or ``rejected``), ``problem_id``, ``subject``. Rows with
    lists ``chosen`` and ``rejected`` are read too. Gives ``case`` (the problem), ``label`` 1 or 0
    and ``subset`` (the subject). Kim et al. 2024, arXiv:2410.01729.
    """

    kind = "rewardmath"
    gives = (*CHOICE, "model")


class PPE(PublishedResponses):
    """Load the correctness sets of PPE: many sampled responses to each question.

    Rows have ``prompt``, ``response_1`` and on, ``scores`` (whether each is right) and
    ``question_id``. Gives a row per response with ``case``, ``label`` 1 or 0 and ``place`` (from
    0). The ``subset`` is what the data set or the file is called: ``MMLU-Pro``. On the hub:
    ``lmarena-ai/PPE-MMLU-Pro-Best-of-K`` and others. Frick et al. 2024, arXiv:2410.14872.
    """

    kind = "ppe"
    gives = (*CHOICE, "place", "model")


BENCHMARKS: tuple[type[DatasetLoader], ...] = (
    RewardBench,
    RewardBench2,
    RMBench,
    JudgeBench,
    LLMBar,
    RMB,
    RewardMath,
    PPE,
    MRewardBench,
)
