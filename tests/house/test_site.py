"""The site: built strictly and offline, with a Markdown twin of each page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from generators.contents import sections
from generators.gallery import SHOWN
from make_site import check_contents, make_html
from page_blocks import DOCS

from rmplug._cli.commands import COMMANDS
from rmplug._kinds.registry import discover

LOADED = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*?(?:src|href)=\"([^\"]+)\"")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    out = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, DOCS / "make_site.py", "--out", out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return out / "html"


def test_every_page_has_a_twin_and_a_line_in_llms_txt(site: Path) -> None:
    pages = {file.relative_to(site).with_suffix("") for file in site.rglob("*.html")}
    pages.discard(Path("search"))
    listed = re.findall(r"\]\(([^)]+)\.md\): \S", (site / "llms.txt").read_text("utf-8"))
    assert {Path(name) for name in listed} == pages - {Path("index")}
    for page in pages:
        twin = (site / page).with_suffix(".md").read_text(encoding="utf-8")
        assert twin.startswith("# ") and "{toctree}" not in twin and "[[[" not in twin


def test_the_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for file in site.rglob("*.html"):
        page = file.read_text(encoding="utf-8")
        loaded = [url for url in LOADED.findall(page) if not url.startswith(("data:", "#"))]
        assert loaded
        assert [url for url in loaded if "//" in url] == []
        lacking = [url for url in loaded if not (file.parent / url.partition("?")[0]).exists()]
        assert lacking == []


def test_the_reference_has_every_kind_parameter_and_command(site: Path) -> None:
    registry = discover()
    registry.keep("rmplug")
    kinds = "".join(file.read_text("utf-8") for file in site.glob("reference/kinds/*.md"))
    for provider in registry.all():
        section = kinds.partition(f"\n## {provider.kind}\n")[2].partition("\n## ")[0]
        fields = provider.cls.model_fields.items()
        names = [info.alias or name for name, info in fields]
        assert section, provider.kind
        assert [name for name in names if f"`{name}`" not in section] == [], provider.kind
    commands = (site / "reference" / "commands.md").read_text(encoding="utf-8")
    told = re.findall(r"^## rmplug (.*)$", commands, re.MULTILINE)
    assert told == [name for name, *_ in COMMANDS]


def test_metrics_that_reports_have_words_for_are_in_the_reference(site: Path) -> None:
    page = (site / "reference" / "metrics.md").read_text(encoding="utf-8")
    assert "| `ece` | expected calibration error (ECE) |" in page
    assert "Kumar et al. 2019" in page.partition("### pairwise\n")[2]


def test_the_schemas_are_beside_their_page(site: Path) -> None:
    assert json.loads((site / "reference" / "run.schema.json").read_text())["title"]


@pytest.mark.filterwarnings("ignore")  # those of the generator's own libraries
def test_a_link_to_what_is_not_there_fails_the_build(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "index.md").write_text("# Title\n\n[gone](gone.md) [part](#nowhere)\n")
    assert make_html(tmp_path) != 0
    told = capfd.readouterr().err
    assert "gone.md" in told and "nowhere" in told


def test_a_page_that_no_list_names_is_refused() -> None:
    contents = sections(())
    pages = {f"{path}.md": "# A\n\nB." for one in contents for path in one.paths}
    pages |= {"index.md": "", "changelog.md": "", "contributing.md": ""}
    check_contents(pages, contents)
    with pytest.raises(SystemExit, match="how-to/new.md"):
        check_contents({**pages, "how-to/new.md": ""}, contents)


def test_the_gallery_shows_each_recipe_with_its_picture(site: Path) -> None:
    page = (site / "gallery" / "index.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (.*)$", page, re.MULTILINE) == [*SHOWN]
    for name in SHOWN:
        assert f"]({name}.webp)" in page
        assert (site / "gallery" / f"{name}.webp").exists()
