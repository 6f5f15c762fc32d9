"""Counts of personal data and secrets in texts.

Every pattern is searched by Arrow, whose regular expressions (RE2) take time that is linear in the
text, whatever it holds. Only the texts in which RE2 has found a number with check digits are searched
again, by Python, with patterns without choices inside repetitions, each of bounded length.
"""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ._numbers_of_people import is_card, is_iban, is_identity_number, is_public_address
from ._texts import plain_text

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pattern:
    """What to look for, and the check that tells a number of this kind from any other."""

    expression: str
    check: Callable[[str], bool] | None = None


PERSONAL = {
    "email": Pattern(r"[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"),
    "phone": Pattern(
        r"\+[1-9](?:[ .()/-]{0,2}[0-9]){7,14}\b"
        r"|(?:\([0-9]{3}\) ?|\b[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}\b"
    ),
    "ip": Pattern(
        r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b|\b(?:[0-9A-Fa-f]{1,4}:){2,7}:?[0-9A-Fa-f:]{0,35}",
        is_public_address,
    ),
    "card": Pattern(r"\b[2-6](?:[ -]?[0-9]){12,18}\b", is_card),
    "iban": Pattern(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}", is_iban),
    "identity": Pattern(
        r"\b[0-9]{3}-[0-9]{2}-[0-9]{4}\b|\b[XYZ]?-?[0-9]{7,8}-?[A-Z]\b"
        r"|\b[0-9]{17}[0-9Xx]\b|\b[0-9]{11}\b",
        is_identity_number,
    ),
}
SECRETS = {
    "aws_key": Pattern(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "github_token": Pattern(r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b|\bgithub_pat_[A-Za-z0-9_]{50,255}"),
    "slack_token": Pattern(r"\bxox[abeprs]-[0-9A-Za-z-]{10,250}"),
    "google_key": Pattern(r"\bAIza[0-9A-Za-z_-]{35}"),
    "service_key": Pattern(
        r"\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,250}|\bsk-[A-Za-z0-9_-]{20,250}"
        r"|\bhf_[A-Za-z0-9]{30,250}|\bglpat-[A-Za-z0-9_-]{20,250}|\bnpm_[A-Za-z0-9]{36}\b"
    ),
    "jwt": Pattern(r"\beyJ[A-Za-z0-9_-]{8,900}\.[A-Za-z0-9_-]{8,900}\.[A-Za-z0-9_-]{8,900}"),
    "private_key": Pattern(r"-----BEGIN (?:[A-Z0-9]{1,20} ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    "url_password": Pattern(r"://[^/\s:@]{1,100}:[^/\s:@]{1,100}@[A-Za-z0-9]"),
}


@dataclass(frozen=True)
class CountPersonalData:
    """The row-wise counts: of each kind on each side, and of all of the row."""

    sides: tuple[str, ...]
    kinds: tuple[str, ...]

    def __call__(self, batch: pa.RecordBatch) -> dict[str, Floats]:
        columns: dict[str, Floats] = {}
        totals = {name: np.zeros(batch.num_rows) for name in totals_of(self.kinds)}
        for side in self.sides:
            texts = plain_text(batch, side)
            for kind in self.kinds:
                found = count(texts, (PERSONAL | SECRETS)[kind])
                columns[f"{side}.{kind}"] = found
                totals["personal" if kind in PERSONAL else "secrets"] += found
        return totals | columns


def totals_of(kinds: tuple[str, ...]) -> Iterator[str]:
    """Yield the names of the totals: those of personal data and of secrets that are counted."""
    if any(kind in PERSONAL for kind in kinds):
        yield "personal"
    if any(kind in SECRETS for kind in kinds):
        yield "secrets"


def count(texts: pa.Array, pattern: Pattern) -> Floats:
    """Count the occurrences in each text."""
    found = np.asarray(pc.count_substring_regex(texts, pattern.expression)).astype(np.float64)
    if pattern.check is not None:
        expression = re.compile(pattern.expression, re.ASCII)
        for row in np.flatnonzero(found).tolist():
            matches = expression.finditer(texts[row].as_py())
            found[row] = sum(pattern.check(match[0]) for match in matches)
    return found
