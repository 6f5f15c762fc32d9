"""The section of rewards by token, over the text."""

from __future__ import annotations

from collections.abc import Sequence

from rmplug_report.inputs._hidden import NOT_SHOWN
from rmplug_report.inputs._inputs import Inputs
from rmplug_report.inputs._metric_lookup import MetricLookup
from rmplug_report.inputs._trajectories import Trajectory
from rmplug_report.inputs._wording import count, label, number

from ._section import Reading, Section, Token

WIDTH, HEIGHT, EDGE = 640, 72, 6
"""Size of the small plot, and the room above and below its line."""


MOST_BREAKS = 2
LEAD = (
    "The line is the reward if the conversation ended at a token. Over the text is the change that "
    "each token makes: a bar below a token is a rise, one above it a fall, and the thicker the bar "
    "the larger the change, beside the largest of that response. Point at a token, or go to it by "
    "Tab and the arrow keys, for its numbers. The dashed line is where the response begins."
)


def tokens(inputs: Inputs, _: MetricLookup) -> Section | None:
    """Return the section that shows, over the text, the change of reward that each token makes."""
    if not inputs.trajectories:
        return None
    lead = [LEAD]
    if inputs.trajectories_left_out:
        lead.append(f"{count(inputs.trajectories_left_out, 'response')} more are not shown here.")
    readings = [_reading(index, one) for index, one in enumerate(inputs.trajectories)]
    return Section("tokens", "Reward by token", lead=lead, readings=readings)


def _reading(index: int, one: Trajectory) -> Reading:
    most = max((abs(change) for change in one.changes[max(1, one.start) :]), default=0.0)
    shown = [
        Token(
            text=visible(text),
            breaks=min(text.count("\n"), MOST_BREAKS),
            share=min(1.0, abs(change) / most) if most > 0 else 0.0,
            rises=change > 0,
            hint=f"{number(reward)} ({'+' if change > 0 else ''}{number(change)})",
            mark=f"token{index}-0-{place}",
            begins=place == one.start,
        )
        for place, (text, reward, change) in enumerate(
            zip(one.texts, one.rewards, one.changes, strict=True)
        )
    ]
    output = f", {label(one.output)}" if one.output else ""
    cut = [count(one.before, "token") + " before"] if one.before else []
    cut += [count(one.after, "token") + " after"] if one.after else []
    said = f"; {' and '.join(cut)} left out" if cut else ""
    said += f" {NOT_SHOWN}" if one.hidden else ""
    low, high = min(one.rewards), max(one.rewards)
    return Reading(
        title=f"{label(one.id)}, {one.side}{output}",
        note=f"{label(one.step)}: {number(one.score)} at the last token shown, between "
        f"{number(low)} and {number(high)}{said}",
        line=" ".join(f"{x:.1f},{y:.1f}" for x, y in points(one.rewards)),
        begins_at=round(_x(one.start, len(one.rewards)), 1),
        low=number(low),
        high=number(high),
        tokens=shown,
    )


def points(rewards: Sequence[float]) -> list[tuple[float, float]]:
    """Return the corners of the line of rewards in the plot, the highest reward at the top."""
    low, high = min(rewards), max(rewards)
    span = high - low or 1.0
    room = HEIGHT - 2 * EDGE
    return [
        (_x(place, len(rewards)), EDGE + room * (high - reward) / span)
        for place, reward in enumerate(rewards)
    ]


def _x(place: int, length: int) -> float:
    return WIDTH * min(max(place, 0), length - 1) / max(1, length - 1)


def visible(text: str) -> str:
    """Return the text of a token as it can be shown: line breaks as a sign, nothing that turns the
    direction of writing or controls anything; an empty token as a dot."""
    return label(text.replace("\n", "↵"), 200) or "·"
