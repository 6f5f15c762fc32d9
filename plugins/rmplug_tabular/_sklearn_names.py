"""The public class names of the installed scikit-learn, read without importing it."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def public_names() -> frozenset[str]:
    """Every name that a package of scikit-learn exports; empty where it is not installed."""
    found = find_spec("sklearn")
    places = (found.submodule_search_locations or ()) if found else ()
    texts = [
        path.read_text("utf-8") for place in places for path in Path(place).glob("*/__init__.py")
    ]
    return frozenset(name for text in texts for name in re.findall(r'"([A-Z][A-Za-z0-9]+)"', text))
