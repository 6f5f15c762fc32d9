"""The report that most tests look at."""

from __future__ import annotations

import pytest
from report_inputs import everything, report


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The report of one of everything."""
    folder = tmp_path_factory.mktemp("page")
    report(everything(folder), folder / "report")
    return folder / "report"
