"""Make the pictures and findings of the gallery from real runs of the recipes, or check them.

Each recipe is run as it is (results that the store has are reused); the part of its report that the
gallery names is taken in a headless Chromium, made small, and kept with the report's findings.

Run: ``python docs/make_gallery.py [RECIPE …] [--store FOLDER] [--check]``; by default all recipes.
With ``--check`` nothing is written: what differs from the findings that are kept is told, and the
exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from contextlib import chdir
from io import BytesIO
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

from generators.gallery import (
    FINDINGS,
    MOST_BYTES,
    SHOWN,
    Shown,
    content_of,
    own_recipes,
    read_shown,
    write_shown,
)
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import rmplug
from rmplug._store.reports import NUMBERS_FILE

SCREEN = {"width": 860, "height": 900}
"""Narrow, so that the picture can be read on a phone."""
TALLEST = 640
"""The most that is shown of a report, in pixels."""
EDGE = 16
WIDTH = 800
INSIDE = """part => part.tagName !== 'SECTION' ? 0 :
    part.firstElementChild.getBoundingClientRect().top - part.getBoundingClientRect().top"""
"""The space of a section above its title."""


def main() -> int:
    """Run the recipes one after the other, and write what the gallery shows of each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("recipes", nargs="*", default=list(SHOWN))
    options.add_argument("--store", default=DOCS.parent / "build" / "gallery", type=Path)
    options.add_argument("--check", action="store_true")
    asked = options.parse_args()
    if asked.check:
        return check(asked.recipes, asked.store)
    shown = dict(read_shown())
    with browser() as page:
        for name in asked.recipes:
            report, shown[name] = run(name, asked.store)
            (DOCS / "gallery" / f"{name}.webp").write_bytes(picture(report, SHOWN[name], page))
            write_shown(shown)
            print(f"{name}: {shown[name].headline}", flush=True)
    print(f"written: {FINDINGS}")
    return 0


def check(names: Sequence[str], store: Path) -> int:
    """Run the recipes, and tell where they find something else than the gallery says."""
    kept, other = read_shown(), []
    for name in names:
        _, found = run(name, store)
        print(f"{name}: {'as kept' if found == kept.get(name) else found}", flush=True)
        other += [name] if found != kept.get(name) else []
    if other:
        print(f"the gallery is stale; run: python docs/make_gallery.py {' '.join(other)}")
    return 1 if other else 0


def run(name: str, store: Path) -> tuple[Path, Shown]:
    """Run a recipe, and return the page of its first report with what it found."""
    recipe = own_recipes()[name]
    store = store.resolve()
    store.mkdir(parents=True, exist_ok=True)
    with chdir(store):  # the observer of a recipe writes into the folder where it is run
        done = rmplug.run(recipe.path, store=store)
    told = ((path, path.parent / NUMBERS_FILE) for path in done.reports if path.suffix == ".html")
    report, numbers = next((page, numbers) for page, numbers in told if numbers.exists())
    words = json.loads(numbers.read_text(encoding="utf-8"))
    findings = [finding["text"] for finding in words["findings"]]
    headline = words["headline"] or findings.pop(0)
    return report, Shown(headline, findings, content_of(recipe))


class browser:
    """A context with a page of a headless Chromium."""

    def __enter__(self) -> Page:
        path = shutil.which("chromium")
        if path is None:
            raise SystemExit("the gallery needs Debian's chromium; install it, and try again")
        self.playwright = sync_playwright().start()
        self.opened = self.playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        return self.opened.new_page(viewport=SCREEN)

    def __exit__(self, *_: object) -> None:
        self.opened.close()
        self.playwright.stop()


def picture(report: Path, part: str, page: Page) -> bytes:
    """Take a part of a report as a small picture."""
    page.goto(report.as_uri())
    shown = page.locator(part).first
    box = shown.bounding_box()
    if box is None:
        raise SystemExit(f"{report} has no {part}")
    above = shown.evaluate(INSIDE) - EDGE
    clip = {
        "x": box["x"] - EDGE,
        "y": box["y"] + above,
        "width": box["width"] + 2 * EDGE,
        "height": min(box["height"] - above + EDGE, TALLEST),
    }
    screenshot = page.screenshot(full_page=True, clip=clip, animations="disabled")
    return small(screenshot)


def small(screenshot: bytes, qualities: Sequence[int] = (80, 65, 50, 35, 20)) -> bytes:
    """Return a screenshot as a small WebP, as good as the limit of bytes allows."""
    image = Image.open(BytesIO(screenshot)).convert("RGB")
    image.thumbnail((WIDTH, TALLEST), Image.Resampling.LANCZOS)
    for quality in qualities:
        written = BytesIO()
        image.save(written, "WEBP", quality=quality, method=6)
        if written.tell() <= MOST_BYTES:
            return written.getvalue()
    raise SystemExit(f"a picture is over {MOST_BYTES} bytes at the lowest quality")


if __name__ == "__main__":
    sys.exit(main())
