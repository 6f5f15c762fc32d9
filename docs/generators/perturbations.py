"""The reference of perturbations: what each does, as its class says it."""

from __future__ import annotations

from rmplug._kinds.field_docs import field_docs
from rmplug_audit.perturbations.battery import BATTERY
from rmplug_audit.perturbations.perturbation import Perturbation

from .markdown import docstring, table


def write_perturbations() -> str:
    """Write the page: all perturbations by theme, with doses, intention and parameters."""
    lead = (
        "The changes that `perturb` and `augment` know: what each does to a response, at which "
        "doses, and what that does to the quality of the response. `keeps`: none, so that any "
        "effect on a reward is about form; `worsens`: a reward should not rise. That is meant of "
        "prompts that deserve an answer: where a prompt should be refused, a refusal in front, an "
        "answer cut off or a negated one can be better, so look at effects by label. Those that "
        "write or look for English words are made to English responses alone, with parameters of "
        "your own, such as phrases, to any. Name one in "
        "`perturbations` as `bullets`, or with parameters as `{name: bullets, doses: [1, 8]}`; "
        "[one of your own](../plugin/perturbation.md) is a class of some lines."
    )
    rows = [
        (
            f"`{kind.name}`",
            kind.theme,
            kind.intention,
            ", ".join(map(str, kind.doses)),
            _about(kind),
        )
        for kind in BATTERY
    ]
    return (
        f"# Perturbations\n\n{lead}\n\n"
        + table(("name", "theme", "quality", "doses", "what it does"), rows)
        + "\n"
    )


def _about(kind: type[Perturbation]) -> str:
    """Return what a perturbation does and what its parameters are."""
    docs = field_docs(kind)
    params = [f"`{name}`: {docstring(docs[name])}" for name in kind.model_fields]
    english = ["English responses."] if kind.english else []
    return " ".join([docstring(kind.__doc__), *english, *params])
