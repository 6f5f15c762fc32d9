"""The query of an old experiment: a step for each sort of what it stores."""

from __future__ import annotations

from .converting import DEFAULT, Draft
from .reading import Entry

END_SCORES = {"chosen_end_scores": "chosen", "rejected_end_scores": "rejected", "loss": "loss"}
"""What an old query stores, and the column of `reward` from pairs."""
OURS = {
    "input_ids": "made from the texts",
    "attention_mask": "made from the texts",
    "return_dict": "of no use: what is stored is named by the steps",
    "output_hidden_states": "states are asked for by hidden-state",
    "inference": "models are always in inference",
}
"""Arguments of the forward pass that the steps set by themselves."""


def convert_query(draft: Draft) -> None:
    old, section = draft.old, draft.old.section("query")
    if not section:
        return
    _tell_settings(draft)
    stored = list(old.entries(section.get("store"), ("query", "store")))
    if not draft.model or not draft.data:
        missing = " and ".join(name for name in ("model", "data") if not getattr(draft, name))
        for entry in stored:
            old.left(entry.path, f"the file has no section {missing}")
        return
    inputs = {"model": draft.model, "data": draft.data}
    comment = "Scores of every response"
    comment += ", their margin and loss." if draft.pairs else "; without pairs there is no loss."
    draft.query = draft.add(section.get("id", "reward"), comment, "reward", inputs=inputs)
    if "id" in section:
        old.carried(("query", "id"), f"the step {draft.query!r}")
    for entry in stored:
        _store(draft, entry, inputs)


def _tell_settings(draft: Draft) -> None:
    old, section = draft.old, draft.old.section("query")
    if "requires" in section:
        old.carried(("query", "requires"), "the inputs of the steps")
    if "chunk_size" in section:
        why = "conversations go together by their tokens (batch_tokens); scores do not depend on it"
        old.left(("query", "chunk_size"), why)
    forward = old.section("query", "forward")
    for key in forward:
        if key != "args":
            old.left(("query", "forward", key), OURS.get(key, "rmplug calls the model itself"))
    for key, value in old.section("query", "forward", "args").items():
        none = "None is the default; nothing is passed"
        why = OURS.get(key) or (none if value in DEFAULT else "rmplug calls the model itself")
        old.left(("query", "forward", "args", key), why)


def column_of(draft: Draft, target: str) -> tuple[str, str]:
    """Return the column of an old target, ``<step>.<column>``, and how it came to be that one; an
    empty column where there is none, and why."""
    if target in END_SCORES and draft.pairs:
        column = f"{draft.query}.{END_SCORES[target]}"
        return column, column
    if target == "chosen_end_scores":
        column = f"{draft.query}.reward"
        return column, f"{column}, as the data has one response to a prompt"
    if target in END_SCORES:
        return (
            "",
            "it needs pairs, and the data has one response to a prompt; name chosen and rejected",
        )
    return "", "not something that the original stores"


def _store(draft: Draft, entry: Entry, inputs: dict[str, str]) -> None:
    old = draft.old
    if entry.name in END_SCORES:
        column, how = column_of(draft, entry.name)
        (old.carried if column else old.left)(entry.path, how)
    elif entry.name == "hidden_states":
        comment = "States of every layer at the last token."
        id = draft.add("hidden_states", comment, "hidden-state", inputs=inputs,
                       params={"layers": "all"})  # fmt: skip
        old.carried(entry.path, f"the step {id!r}: all layers, at the last token; for other tokens "
                    "set pooling and position")  # fmt: skip
    elif entry.name == "embeddings":
        comment = "What goes into the first layer, mean over tokens."
        id = draft.add("embeddings", comment, "hidden-state", inputs=inputs,
                       params={"layer": 0, "pooling": "mean"})  # fmt: skip
        old.carried(entry.path, f"the step {id!r}: layer 0, mean over tokens")
    elif entry.name == "tokens":
        comment = "Tokens, and the reward after each of them."
        id = draft.add("tokens", comment, "token-rewards", inputs=inputs)
        old.carried(entry.path, f"the step {id!r}, with the reward after each token")
    else:
        old.left(entry.path, "not something that the original stores")
