"""Every test of reading holds with libyaml and without it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml


@pytest.fixture(scope="module", autouse=True, params=[True, False], ids=["libyaml", "python"])
def libyaml(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether libyaml reads the texts: every test here holds with it and without it."""
    if request.param and not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yaml, "__with_libyaml__", request.param)
        yield request.param
