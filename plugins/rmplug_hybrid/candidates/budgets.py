"""Budgets: numbers of human labels, as shares of all pairs or whole numbers."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field


def _check_budget(budget: float) -> float:
    if budget > 1 and budget != int(budget):
        raise ValueError(f"a budget is a share up to 1 or a whole number of labels, not {budget:g}")
    return budget


Budget: TypeAlias = Annotated[float, Field(ge=0), AfterValidator(_check_budget)]
PositiveBudget: TypeAlias = Annotated[float, Field(gt=0), AfterValidator(_check_budget)]
