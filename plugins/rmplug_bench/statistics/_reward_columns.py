"""A check, before running, of rewards without scores of the data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rmplug import Known, Pairs, Responses
from rmplug.errors import some


def no_rewards(data: Known, rewards: Sequence[Known]) -> Iterator[tuple[str, str]]:
    """Yield each reward without ``margin`` on pairs, or ``reward`` on responses, and the message.

    The only column of a reward counts as that.
    """
    if not data.is_a(Pairs, Responses):
        return
    column, of = ("margin", "pairs") if data.is_a(Pairs) else ("reward", "responses")
    for index, reward in enumerate(rewards):
        names = tuple(reward.columns or ())
        if len(names) > 1 and all(name.partition(".")[0] != column for name in names):
            yield (
                f"rewards.{index}",
                f"{reward.step} has no column {column!r} (it has {some(names, 8)}); give a query "
                f"of a reward model on {of}, such as the kind 'reward'",
            )
