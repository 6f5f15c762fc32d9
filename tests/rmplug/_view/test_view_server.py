"""Who may ask the viewer's server, and what it gives."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from rmplug._run.finished import Run
from rmplug._store.store import Store

Answer = tuple[int, dict[str, str], str]


def ask(server: str, path: str, method: str = "GET", **headers: str) -> Answer:
    """One request, with the path as it is written here."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=30)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        text = answer.read().decode()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text
    finally:
        connection.close()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_is_not_this_machines_is_refused(server: str, host: str) -> None:
    status, _, text = ask(server, "/", Host=host)
    assert (status, "is not called" in text) == (400, True)


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1"])
def test_this_machines_own_names_are_answered(server: str, host: str) -> None:
    assert ask(server, "/", Host=host)[0] == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_reading_is_answered(server: str, method: str) -> None:
    assert ask(server, "/", method)[0] == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_User": "?1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://[evil.example"},
    ],
)
def test_a_request_that_another_site_makes_is_refused(server: str, headers: dict[str, str]) -> None:
    status, _, text = ask(server, "/", **headers)
    assert (status, "another site" in text) == (403, True)


def test_every_answer_keeps_a_browser_from_loading_anything_elsewhere(server: str) -> None:
    for path in ("/", "/view.js", "/nothing"):
        headers = ask(server, path)[1]
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert ask(server, "/", "HEAD")[2] == ""


def test_a_file_of_a_report_has_an_origin_of_its_own(server: str, runs: list[Run]) -> None:
    path = f"/files/{runs[1].record.id}/page/"
    status, headers, text = ask(server, path + "index.html")
    policy = headers["content-security-policy"]
    assert (status, "waiting" in text) == (200, True)
    assert policy.startswith("sandbox allow-scripts; default-src 'none';")
    assert "allow-same-origin" not in policy
    clicked = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert ask(server, path + "more.json", **clicked)[0] == 403
    assert ask(server, path + "more.json", **clicked, Sec_Fetch_User="?1")[0] == 200


@pytest.mark.parametrize(
    "inside",
    ["../manifest.json", "../../../runs", "%2e%2e/manifest.json", "..%2fmanifest.json",
     "/etc/passwd", "%00", "index.html/..", "nothing.html"],
)  # fmt: skip
def test_no_path_leaves_the_files_of_a_report(server: str, runs: list[Run], inside: str) -> None:
    status, _, text = ask(server, f"/files/{runs[1].record.id}/page/{inside}")
    assert status == 404
    assert "sha256" not in text and "root:" not in text


@pytest.mark.parametrize("run", ["..", "%2e%2e", "last", "*", "a/b", "%00", "2026"])
def test_a_run_is_found_by_its_whole_id_only(server: str, run: str) -> None:
    assert ask(server, f"/runs/{run}/")[0] == 404


def test_a_link_out_of_the_store_is_not_followed(
    server: str, store: Store, runs: list[Run], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    record = json.loads((store.runs / runs[0].record.id / "record.json").read_text())
    (outside / "record.json").write_text(json.dumps({**record, "id": "elsewhere"}))
    (store.runs / "elsewhere").symlink_to(outside)
    link = store.artifacts / runs[1].record.steps["page"].artifact / "files/secret.txt"
    (outside / "secret").write_text("secret")
    link.symlink_to(outside / "secret")
    try:
        assert ask(server, "/runs/elsewhere/")[0] == 404
        assert ask(server, f"/files/{runs[1].record.id}/page/secret.txt")[0] == 404
    finally:
        link.unlink()
        (store.runs / "elsewhere").unlink()


def test_the_tag_of_a_record_changes_with_it(server: str, store: Store, runs: list[Run]) -> None:
    path = f"/runs/{runs[0].record.id}/record.json"
    _, headers, text = ask(server, path)
    assert json.loads(text)["status"] == "finished"
    assert ask(server, path, "HEAD")[1]["etag"] == headers["etag"]
    record = store.runs / runs[0].record.id / "record.json"
    record.write_bytes(record.read_bytes() + b"\n")
    assert ask(server, path, "HEAD")[1]["etag"] != headers["etag"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("len(chosen) > 60", "of 120 rows match"),
        ('startswith(id, "p000011")', "10 of 120 rows match; 1 to 10 of them"),
        ("1 < 2", "120 of 120 rows match; 1 to 50 of them"),
        ("1 > 2", "0 of 120 rows match"),
        ("lenn(chosen) > 3", "no function &#39;lenn&#39;; did you mean &#39;len&#39;?"),
        ("chsen is null", "no column &#39;chsen&#39;; did you mean &#39;chosen&#39;?"),
        ("__import__('os')", "no function"),
        ("(" * 99, "nested more than"),
        ("a" * 3000, "more than 2,000 characters"),
        ("</script><script>window.hacked = 1", "&lt;/script&gt;"),
    ],
)
def test_rows_are_filtered_by_the_expressions_of_the_kind_filter(
    server: str, runs: list[Run], where: str, found: str
) -> None:
    path = f"/runs/{runs[0].record.id}/tables/pairs/?where={quote(where)}"
    status, _, text = ask(server, path)
    assert status == 200
    assert found in text
    assert "<script>window" not in text


@pytest.mark.parametrize(
    ("page", "rows"), [("2", "51 to 100"), ("99", "101 to 120"), ("x", "1 to 50")]
)
def test_rows_come_in_pages(server: str, runs: list[Run], page: str, rows: str) -> None:
    text = ask(server, f"/runs/{runs[0].record.id}/tables/pairs/?page={page}")[2]
    assert f"Rows {rows} of 120" in text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/compare?run=a", "tick at least two runs"),
        ("/compare/a,b/", "no run &#39;a&#39;"),
        ("/compare/a/", "choose 2 to 12 runs"),
        ("/nothing", "Nothing stands at this address"),
    ],
)
def test_what_is_not_there_is_said(server: str, path: str, message: str) -> None:
    status, _, text = ask(server, path)
    assert (status, message in text) == (404, True)
