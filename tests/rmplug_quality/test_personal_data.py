from __future__ import annotations

import pyarrow as pa
import pytest

from rmplug import Features, Pairs
from rmplug.testing import check_step, run_step
from rmplug_quality._personal_data import PERSONAL, SECRETS, count
from rmplug_quality.personal_data import ALL, PersonalData

FOUND = {
    "email": ["write to ann.b+c@mail.example.org, please", "<x@y.de>"],
    "phone": ["call +49 (0)30 1234567", "(212) 555-0147", "212-555-0147."],
    "ip": ["from 8.8.8.8:53", "2001:4860:4860::8888"],
    "card": ["4111 1111 1111 1111", "378282246310005", "5555-5555-5555-4444"],
    "iban": ["DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432 IS MINE"],
    "identity": ["078-05-1120", "12345678Z", "X1234567L", "44051401359", "11010519491231002X"],
    "aws_key": ["AKIAIOSFODNN7EXAMPLE"],
    "github_token": ["ghp_" + "a1B2" * 9],
    "slack_token": ["xoxb-123456789012-abcdefABCDEF"],
    "google_key": ["AIza" + "Sy_-9" * 7],
    "service_key": ["sk_live_" + "x9" * 12, "sk-" + "Ab3" * 10, "hf_" + "Zz" * 17],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"],
    "private_key": ["-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN PGP PRIVATE KEY BLOCK-----"],
    "url_password": ["postgres://admin:hunter2@db.internal/x"],
}
PASSED_OVER = {
    "email": ["@ann", "a@b", "at 5@night"],
    "phone": ["+1 23", "12345678901", "2024-10-12"],
    "ip": ["127.0.0.1", "192.168.1.20", "999.1.1.1", "10:20:30", "std::vector"],
    "card": ["4111 1111 1111 1112", "1234 5678 9012 3456", "0000 0000 0000 0000"],
    "iban": ["DE89 3704 0044 0532 0130 01", "AB12 ONLY LETTERS AND WORDS HERE"],
    "identity": ["666-05-1120", "12345678A", "44051401358", "110105194912310021"],
    "aws_key": ["AKIAlowercase0000000"],
    "github_token": ["ghp_short"],
    "slack_token": ["xoxo-kisses"],
    "google_key": ["AIza"],
    "service_key": ["sk_live_", "task-force-of-many-words"],
    "jwt": ["eyJ.a.b"],
    "private_key": ["-----BEGIN PUBLIC KEY-----"],
    "url_password": ["https://site.org/a:b@c", "http://host:8080/"],
}


def test_it_keeps_its_promises():
    check_step(PersonalData, {})


def test_every_kind_has_examples_here():
    assert set(FOUND) == set(PASSED_OVER) == set(ALL) == set(PERSONAL | SECRETS)


@pytest.mark.parametrize("kind", ALL)
def test_a_kind_is_found_in_its_examples_and_not_in_what_looks_like_it(kind):
    pattern = (PERSONAL | SECRETS)[kind]
    assert count(pa.array(FOUND[kind]), pattern).tolist() == [1.0] * len(FOUND[kind])
    assert count(pa.array(PASSED_OVER[kind]), pattern).tolist() == [0.0] * len(PASSED_OVER[kind])


def test_counts_are_of_each_side_and_of_the_row(tmp_path):
    mail = FOUND["email"][1]
    data = Pairs(
        {
            "id": ["a", "b"],
            "prompt": [f"{mail} and {mail}", "none"],
            "chosen": ["none", FOUND["aws_key"][0]],
            "rejected": [mail, FOUND["jwt"][0]],
        }
    )
    made = run_step(PersonalData(), {"data": data}, tmp_path)
    assert isinstance(made, Features)
    found = {name: made.table[name].to_pylist() for name in made.values}
    assert found["personal"] == [3, 0] and found["secrets"] == [0, 2]
    assert found["prompt.email"] == [2, 0] and found["rejected.email"] == [1, 0]
    assert found["chosen.aws_key"] == [0, 1] and found["rejected.jwt"] == [0, 1]


def test_nothing_that_was_found_is_in_the_store(tmp_path):
    secret = FOUND["github_token"][0]
    data = Pairs({"id": ["a"], "prompt": ["p"], "chosen": [secret], "rejected": ["x"]})
    made = run_step(PersonalData(), {"data": data}, tmp_path)
    assert made.table["secrets"].to_pylist() == [1]
    own = next((tmp_path / "artifacts").glob("personal-data-*"))
    kept = [file for file in own.rglob("*") if file.is_file()]
    assert kept and not any(secret.encode() in file.read_bytes() for file in kept)


@pytest.mark.parametrize("text", ["a." * 50_000 + "@", "1 " * 100_000, "DE12" + " A1" * 50_000,
                                  "eyJ" + "a." * 80_000, "1:" * 80_000, "://a" * 60_000,
                                  "+1" + "()" * 60_000])  # fmt: skip
def test_hostile_texts_are_read_to_their_end(text):
    found = [count(pa.array([text, "x@y.de"]), one)[0] for one in (PERSONAL | SECRETS).values()]
    assert found == [0.0] * len(found)
