"""Check digits of cards, accounts and identity numbers."""

from __future__ import annotations

import ipaddress
import re

IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22,
    "BR": 29, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20,
    "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18,
    "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27,
    "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MT": 31, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27,
    "TN": 24, "TR": 26, "UA": 29, "VA": 22, "XK": 20,
}  # fmt: skip
"""Characters of an account number by country (SWIFT's IBAN registry)."""
ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}"
)
"""First digits and lengths of the large issuers of cards."""
LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def is_card(text: str) -> bool:
    """Check the issuer, the length and the check digit (Luhn, ISO/IEC 7812-1) of a card number."""
    digits = re.sub(r"\D", "", text)
    if not ISSUERS.fullmatch(digits) or len(set(digits)) < 2:
        return False
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Check the country, the length and the check digits (ISO 13616) of an account number; what
    follows it is passed over."""
    plain = text.replace(" ", "")
    length = IBAN_LENGTHS.get(plain[:2], 0)
    number = plain[:length]
    if not length or len(number) < length:
        return False
    turned = number[4:] + number[:4]
    return int("".join(str(int(sign, 36)) for sign in turned)) % 97 == 1


def is_public_address(text: str) -> bool:
    """Check whether a text is an IP address that is reached from everywhere: no private, local or
    reserved one."""
    try:
        return ipaddress.ip_address(text.strip()).is_global
    except ValueError:
        return False


def is_identity_number(text: str) -> bool:
    """Check the letter of a Spanish DNI or NIE, the check digit of a Polish PESEL or a Chinese
    resident number, or the ranges of a US social security number."""
    plain = re.sub(r"[ -]", "", text).upper()
    if re.fullmatch(r"[XYZ]?\d{7,8}[A-Z]", plain):
        number = plain[:-1].translate(str.maketrans("XYZ", "012"))
        return len(plain) == 9 and LETTERS[int(number) % 23] == plain[-1]
    if re.fullmatch(r"\d{17}[\dX]", plain):
        total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(plain[:17]))
        return "10X98765432"[total % 11] == plain[-1] and plain[6:8] in ("19", "20")
    if re.fullmatch(r"\d{3}-\d{2}-\d{4}", text):
        area, middle, last = text.split("-")
        return area not in ("000", "666") and area < "900" and middle != "00" and last != "0000"
    if re.fullmatch(r"\d{11}", plain):
        weights = (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)
        dated = 1 <= int(plain[2:4]) % 20 <= 12 and 1 <= int(plain[4:6]) <= 31
        return dated and sum(w * int(d) for w, d in zip(weights, plain, strict=True)) % 10 == 0
    return False
