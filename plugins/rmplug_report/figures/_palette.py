"""Colours of the page and of its figures: one list, light and dark."""

from __future__ import annotations

from rmplug_report.inputs._inputs import Inputs

COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#f6f7f9", "#0e1014"),
    "card": ("#ffffff", "#15181d"),
    "raised": ("#eef0f4", "#1e2229"),
    "line": ("#dcdfe5", "#2d323b"),
    "grid": ("#eaecf0", "#242830"),
    "ink": ("#15181e", "#eceef2"),
    "muted": ("#565d6b", "#a4abb8"),
    "good": ("#17774a", "#62d398"),
    "bad": ("#b93a2b", "#ff8f7f"),
    "m1": ("#2b5cd9", "#7fa8ff"),
    "m2": ("#c2541b", "#ff9f68"),
    "m3": ("#0b7f78", "#4fd0c4"),
    "m4": ("#8b3fb5", "#d19bff"),
    "m5": ("#8f6a00", "#e0b93f"),
    "m6": ("#c22e63", "#ff85ab"),
    "m7": ("#467a17", "#9ccf63"),
    "m8": ("#586474", "#a9b5c4"),
}
"""Name: (light, dark). No two names have the same light colour, so that it can be replaced by the
page's variable and follow the theme."""

LIGHT = {name: light for name, (light, _) in COLOURS.items()}

FAMILY_COLOURS = {
    "dataset loader": "m1",
    "model loader": "m6",
    "query strategy": "m4",
    "feature computer": "m3",
    "estimator": "m2",
    "sampler": "m7",
    "trainer": "m5",
    "evaluator": "bad",
    "composite": "ink",
}
"""The colour of each family in the plan."""


def reward_colour(number: int) -> str:
    """Return the name of the colour of the reward with this index."""
    return f"m{number % 8 + 1}"


def colour_of(inputs: Inputs, reward: str) -> str:
    """Return the colour of a reward in figures, the same on the whole page."""
    return LIGHT[reward_colour(inputs.number(reward))]


def themed(svg: str) -> str:
    """Replace each colour of the light palette in a figure by the page's variable."""
    for name, light in LIGHT.items():
        svg = svg.replace(light, f"var(--{name})")
    return svg


def variables(dark: bool) -> str:
    """Return the palette as CSS custom properties."""
    return " ".join(f"--{name}: {pair[dark]};" for name, pair in COLOURS.items())
