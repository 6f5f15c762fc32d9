"""Build the site: HTML, a Markdown twin of each page, and ``llms.txt``.

Pages are plain Markdown. The first page of a section (``index.md``) may hold ``<!-- pages -->``,
which becomes the list of the section's pages. The reference is written from the code at build time.
Any warning, such as a link to what is not there, fails the build; nothing is fetched.

Run: ``python docs/make_site.py [--out build/site]``
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from generators.contents import LAST, Section, sections
from generators.markdown import first_sentence
from generators.references import families, references

from rmplug._kinds.registry import discover

PAGES = "<!-- pages -->"
IMAGES = (".png", ".webp", ".svg")


def main() -> int:
    """Build the site, and return the exit code of the generator."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", type=Path, default=DOCS.parent / "build" / "site")
    out = options.parse_args().out
    registry = discover()
    registry.keep("rmplug")
    contents = sections(families(registry))
    pages = {**written(), **references(registry)}
    check_contents(pages, contents)
    pages = {path: with_list(path, text, pages, contents) for path, text in pages.items()}
    stage(pages, contents, out / "source")
    code = make_html(out)
    if code == 0:
        write_twins(pages, out / "html")
        (out / "html" / "llms.txt").write_text(llms(pages, contents), encoding="utf-8")
        print(f"the site: {out / 'html' / 'index.html'}")
    return code


def written() -> dict[str, str]:
    """Read the pages that are written by hand, by path in the site."""
    files = (file for file in sorted(DOCS.rglob("*.md")))
    return {file.relative_to(DOCS).as_posix(): without_markers_of(file) for file in files}


def without_markers_of(file: Path) -> str:
    from generators.references import without_markers

    return without_markers(file.read_text(encoding="utf-8"))


def check_contents(pages: Mapping[str, str], contents: tuple[Section, ...]) -> None:
    """Refuse a page that no list names, and a name without a page."""
    named = {f"{path}.md" for section in contents for path in section.paths}
    wrong = {*pages} ^ {*named, "index.md", *(f"{page}.md" for page in LAST)}
    if wrong:
        raise SystemExit(f"docs/generators/contents.py and the pages differ in: {sorted(wrong)}")


def with_list(path: str, text: str, pages: Mapping[str, str], contents: tuple[Section, ...]) -> str:
    """Put the list of a section's pages where its first page wants it."""
    if PAGES not in text:
        return text
    [section] = [s for s in contents if f"{s.folder}/index.md" == path]
    lines = (
        f"- [{title(pages[f'{section.folder}/{page}.md'])}]({page}.md): "
        f"{about(pages[f'{section.folder}/{page}.md'])}"
        for page in section.pages
    )
    return text.replace(PAGES, "\n".join(lines))


def title(text: str) -> str:
    return text.partition("\n")[0].removeprefix("# ").strip()


def about(text: str) -> str:
    """Return the first sentence below a page's title: its line in lists of pages."""
    paragraphs = [part for part in text.split("\n\n")[1:] if part.strip()]
    return first_sentence(paragraphs[0]) if paragraphs else ""


def stage(pages: Mapping[str, str], contents: tuple[Section, ...], folder: Path) -> None:
    """Write what the generator reads: the pages, each with a link to its twin, and the images."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in pages.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        twin = f'<p class="twin"><a href="{file.name}">This page as Markdown</a></p>'
        more = "\n\n".join(menus(path, contents))
        file.write_text(f"{text}\n\n{more}\n\n{twin}\n", encoding="utf-8")
    for image in (file for file in DOCS.rglob("*") if file.suffix in IMAGES):
        target = folder / image.relative_to(DOCS)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image, target)


def menus(path: str, contents: tuple[Section, ...]) -> Iterator[str]:
    """Yield the hidden tables of contents of a first page, which make the menu beside each page."""
    entries: list[str] = []
    if path == "index.md":
        entries = [*(f"{section.folder}/index" for section in contents), *LAST]
    for section in contents:
        if path == f"{section.folder}/index.md":
            entries = list(section.pages)
    if entries:
        yield "\n".join(("```{toctree}", ":hidden:", ":titlesonly:", "", *entries, "```"))


def make_html(out: Path) -> int:
    """Run Sphinx; every warning is an error."""
    from sphinx.cmd.build import build_main

    shutil.rmtree(out / "html", ignore_errors=True)
    words = ["-q", "-W", "--keep-going", "-E", "-b", "html", "-c", str(DOCS)]
    return build_main([*words, "-d", str(out / "cache"), str(out / "source"), str(out / "html")])


def write_twins(pages: Mapping[str, str], html: Path) -> None:
    """Write each page as Markdown beside its HTML, and the images that it names."""
    for path, text in pages.items():
        (html / path).write_text(text, encoding="utf-8")
    for image in (file for file in DOCS.rglob("*") if file.suffix in IMAGES):
        target = html / image.relative_to(DOCS)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image, target)
    for schema in (DOCS.parent / "schemas").glob("*.json"):
        shutil.copyfile(schema, html / "reference" / schema.name)


def llms(pages: Mapping[str, str], contents: tuple[Section, ...]) -> str:
    """List all pages with a line each, in the form of llmstxt.org."""
    parts = ["# rmplug", f"> {about(pages['index.md'])}"]
    for section in contents:
        listed = [f"{path}.md" for path in section.paths]
        parts.append(_listed(title(pages[listed[0]]), listed, pages))
    parts.append(_listed("More", [f"{page}.md" for page in LAST], pages))
    return "\n\n".join(parts) + "\n"


def _listed(heading: str, paths: list[str], pages: Mapping[str, str]) -> str:
    lines = [f"- [{title(pages[path])}]({path}): {about(pages[path])}" for path in paths]
    return "\n".join([f"## {heading}", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
