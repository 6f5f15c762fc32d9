"""The reports that most tests look at."""

from __future__ import annotations

import pytest
from benchmark_inputs import benchmarked
from report_inputs import everything, report

from rmplug import PlanView


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The report of one of everything."""
    folder = tmp_path_factory.mktemp("page")
    report(everything(folder), folder / "report")
    return folder / "report"


@pytest.fixture(scope="session")
def benchmarks(tmp_path_factory):
    """The report of benchmarks, of each form one."""
    folder = tmp_path_factory.mktemp("benchmarks")
    report(benchmarked(folder), folder / "report", PlanView("compare-models", 13, []))
    return folder / "report"
