"""The feature computer ``personal-data``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field

from rmplug import FeatureComputer, Features, Known, Pairs, Responses

Kind = Literal[
    "email",
    "phone",
    "ip",
    "card",
    "iban",
    "identity",
    "aws_key",
    "github_token",
    "slack_token",
    "google_key",
    "service_key",
    "jwt",
    "private_key",
    "url_password",
]
ALL: tuple[Kind, ...] = get_args(Kind)
TOTALS = {"personal": ALL[:6], "secrets": ALL[6:]}


class PersonalData(FeatureComputer):
    """Count personal data and secrets by pattern, and never show them.

    Gives `personal` and `secrets`, the number of both in all texts of a row, and for each kind the
    number on each side: `prompt.email`, `chosen.email`, `rejected.email` (from responses
    `response.email`).

    | kind | is |
    |---|---|
    | `email` | an e-mail address |
    | `phone` | a number after `+` with 8 to 15 digits, or a North American one with its separators |
    | `ip` | an IPv4 or IPv6 address that is reached from everywhere (none of a private network) |
    | `card` | a card number of a large issuer with a right check digit (Luhn) |
    | `iban` | a bank account of a known country with right length and check digits (ISO 13616) |
    | `identity` | US social security (by its ranges), Spanish DNI or NIE, Polish PESEL, Chinese resident number (by check digit) |
    | `aws_key`, `github_token`, `slack_token`, `google_key` | keys by the prefix and length that the service documents |
    | `service_key` | keys that begin with `sk_live_`, `sk-`, `hf_`, `glpat-` or `npm_` |
    | `jwt` | three parts of a JSON web token |
    | `private_key` | the first line of a private key (PEM, PGP) |
    | `url_password` | a user and a password in an address |

    Only numbers leave this step: no text that was found is in a record, a message or a report. The
    patterns take time linear in the text. They see forms, not meaning: a version number of four
    parts reads as an address, a password in an address as an e-mail address too, and a name is not
    seen at all. Give this step to the report, too: texts of rows in which it found something are
    then not shown there.
    """  # noqa: E501

    kind = "personal-data"

    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = ALL
    """The kinds to count; by default all."""
    sides: Annotated[tuple[Literal["prompt", "response"], ...], Field(min_length=1)] = (
        "prompt",
        "response",
    )
    """The texts: the prompt, the response (in pairs: chosen and rejected), or both."""

    def foresee(self, inputs: Mapping[str, Sequence[Known]]) -> Known:
        data = inputs["data"][0]
        if not data.is_a(Pairs, Responses):
            return Known()
        kinds = tuple(dict.fromkeys(self.kinds))
        totals = [name for name, own in TOTALS.items() if set(own) & set(kinds)]
        sides = self._sides(data.is_a(Pairs))
        return Known(columns=[*totals, *(f"{side}.{kind}" for side in sides for kind in kinds)])

    def compute(self, data: Pairs | Responses) -> Features:
        from ._personal_data import CountPersonalData

        sides = self._sides(isinstance(data, Pairs))
        return data.map(CountPersonalData(sides, tuple(dict.fromkeys(self.kinds))))

    def _sides(self, pairs: bool) -> tuple[str, ...]:
        responses = ("chosen", "rejected") if pairs else ("response",)
        of = {"prompt": ("prompt",), "response": responses}
        return tuple(side for asked in dict.fromkeys(self.sides) for side in of[asked])
