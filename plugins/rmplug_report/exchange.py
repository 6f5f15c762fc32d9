"""The reporter of scores in the layouts of other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rmplug import Artifact, PlanView, Report, Reporter


class ScoresFile(Reporter):
    """Write scores of pairs as result files of other tools, to compare or to submit.

    Takes pairs and one or more rewards on them with ``chosen`` and ``rejected``; each reward gives
    its own files. A missing score is null and counts as lost, as it does there; such pairs are
    counted and named.

    - ``rewardbench``: ``<model>_outputs.jsonl`` (``prompt, results, scores_chosen,
      scores_rejected, text_chosen, text_rejected, chosen, rejected, id, subset``; the texts are
      conversations) and ``<model>.json`` with the accuracy by that tool's rule, a tie being lost.
    - ``judgebench``: one row for each pair with two games, the scores of the second swapped. The
      column ``place`` of the pairs (0 or 1) is the position of the chosen response; without it, it
      is first, and ``first`` is the label of all.

    What ``recorded`` reads again.
    """

    kind = "scores-file"

    layout: Literal["rewardbench", "judgebench"]
    """Tool whose layout is written."""
    model: str = ""
    """Name of the model in files and rows, ``org/name``; the reward's name where empty.
    Of several rewards each keeps its own name after it."""

    def report(self, items: Sequence[Artifact], *, directory: Path, plan: PlanView) -> Report:
        from ._scores_files import write

        return Report(directory, write(items, plan, directory, self.layout, self.model))
