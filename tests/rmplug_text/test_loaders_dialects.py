"""Loaders of files with other delimiters and encodings, in a check and in a load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

import rmplug
import rmplug_text
from rmplug.testing import registry_of
from rmplug_text import PairsFile

KINDS = registry_of(rmplug_text)
TEXT = "prompt;chosen;rejected\nGrüße, alle?;Ja, gern;Nein\n"


def problems(path: Path, **params: Any) -> list[str]:
    steps = {"pairs": {"kind": "pairs-file", "params": {"path": str(path), **params}}}
    return [problem.message for problem in rmplug.check({"steps": steps}, registry=KINDS)]


def test_a_semicolon_file_of_windows_is_checked_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(TEXT.encode("cp1252"))
    assert problems(path, encoding="cp1252") == []
    pairs = PairsFile(path=[path], encoding="cp1252").load()
    [batch] = pairs.batches()
    assert batch.column("prompt").to_pylist()[0][0]["content"] == "Grüße, alle?"


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ("a,b,c", "fields: {chosen: NAME, rejected: NAME}"),
        (
            "question,better answer,worse answer",
            "fields: {prompt: question, chosen: better answer, rejected: worse answer}",
        ),
        (
            "Frage,Bevorzugte Antwort,abgelehnt",
            "fields: {prompt: Frage, chosen: Bevorzugte Antwort, rejected: abgelehnt}",
        ),
        (
            "question,Réponse: préférée,réponse rejetée",
            "fields: {prompt: question, chosen: 'Réponse: préférée', rejected: réponse rejetée}",
        ),
        (
            "pregunta,respuesta elegida,respuesta rechazada",
            "fields: {prompt: pregunta, chosen: respuesta elegida, rejected: respuesta rechazada}",
        ),
        (
            "问题,更好的回答,较差的回答",
            "fields: {prompt: 问题, chosen: 更好的回答, rejected: 较差的回答}",
        ),
        # two columns say the same word, so neither is proposed
        ("Frage,bevorzugt,nicht bevorzugt", "{prompt: Frage, chosen: NAME, rejected: NAME}"),
        ("prompt,chosen,schlechtere", "name the column of yours: fields: {rejected: schlechtere}"),
    ],
)
def test_a_check_says_how_a_column_of_another_name_is_named(
    tmp_path: Path, names: str, sentence: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(f"{names}\na,b,c\n", encoding="utf-8")
    [told] = problems(path)
    assert told.endswith(sentence)
    if "NAME" not in sentence:
        fields = yaml.safe_load(sentence[sentence.index("fields") :])["fields"]
        assert problems(path, fields=fields) == []


def test_the_columns_that_are_named_already_stay_in_what_is_proposed(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("Thema,gut,Besser,Schlechter\na,b,c,d\n")
    [told] = problems(path, fields={"prompt": "Thema", "rejected": "gut"})
    assert told.endswith("fields: {prompt: Thema, rejected: gut, chosen: Besser}")


def test_a_check_refuses_a_header_alone_and_a_folder(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("prompt,chosen,rejected\n")
    assert problems(path) == ["x.csv has a header and no rows"]
    path.write_text("prompt,chosen,rejected\na,b,c\n")
    assert problems(path) == []
    [told] = problems(tmp_path)
    assert told.startswith(f"{tmp_path} is a folder; name the files in it")


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"encoding": "cp125"}, "unknown encoding 'cp125'; did you mean 'cp1252'?"),
        ({"encoding": "hex"}, "unknown encoding 'hex'"),
        ({"delimiter": ";;"}, "must be one character that is no quotation mark or line break, not"),
        ({"delimiter": ""}, "must be one character"),
        ({"format": "jsonl", "delimiter": ";"}, "jsonl has no delimiter: it is for csv and tsv"),
        ({"delimiter": ","}, "x.csv has no 'chosen'"),
        ({"fields": {"chosen": "chsen"}}, "did you mean 'chosen'"),
    ],
)
def test_a_check_says_what_is_wrong_with_the_form_of_a_file(
    tmp_path: Path, params: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_text(TEXT, encoding="utf-8")
    told = problems(path, **params)
    assert any(sentence in problem for problem in told), told
