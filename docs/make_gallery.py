"""Make the pictures and findings of the gallery from real runs of the recipes.

Each recipe is run as it is (results that the store has are reused); the part of its report that the
gallery names is taken in a headless Chromium, made small, and kept with the report's findings.

Run: ``python docs/make_gallery.py [RECIPE …] [--store FOLDER]``; by default the recipes that the
gallery has.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS))

from generators.gallery import FINDINGS, MOST_BYTES, SHOWN, Shown, read_shown, write_shown
from PIL import Image
from playwright.sync_api import Page, sync_playwright

import rmplug
from rmplug._cli.recipes import recipes
from rmplug._store.reports import NUMBERS_FILE

SCREEN = {"width": 1200, "height": 900}
TALLEST = 900
"""The most that is shown of a report, in pixels."""
EDGE = 16
WIDTH = 800


def main() -> int:
    """Run the recipes one after the other, and write what the gallery shows of each."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("recipes", nargs="*", default=list(SHOWN))
    options.add_argument("--store", default=DOCS.parent / "build" / "gallery", type=Path)
    asked = options.parse_args()
    shown = dict(read_shown())
    with browser() as page:
        for name in asked.recipes:
            shown[name] = show(name, asked.store, page)
            write_shown(shown)
            print(f"{name}: {shown[name].headline}", flush=True)
    print(f"written: {FINDINGS}")
    return 0


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


def show(name: str, store: Path, page: Page) -> Shown:
    """Run a recipe, take a part of its report, and return what it found."""
    [recipe] = [one for one in recipes() if one.name == name]
    run = rmplug.run(recipe.path, store=store)
    report = next(path for path in run.reports if path.suffix == ".html")
    page.goto(report.as_uri())
    box = page.locator(SHOWN[name]).first.bounding_box()
    if box is None:
        raise SystemExit(f"the report of {name} has no {SHOWN[name]}")
    part = {"x": box["x"] - EDGE, "y": box["y"], "width": box["width"] + 2 * EDGE}
    picture = page.screenshot(
        full_page=True, clip={**part, "height": min(box["height"], TALLEST)}, animations="disabled"
    )
    (DOCS / "gallery" / f"{name}.webp").write_bytes(small(picture))
    words = json.loads((report.parent / NUMBERS_FILE).read_text(encoding="utf-8"))
    findings = [finding["text"] for finding in words["findings"]]
    return Shown(words["headline"] or findings.pop(0), findings)


def small(screenshot: bytes, qualities: Sequence[int] = (80, 65, 50, 35, 20)) -> bytes:
    """Return a screenshot as a small WebP, as good as the limit of bytes allows."""
    image = Image.open(BytesIO(screenshot)).convert("RGB")
    image = image.resize(
        (WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS
    )
    for quality in qualities:
        written = BytesIO()
        image.save(written, "WEBP", quality=quality, method=6)
        if written.tell() <= MOST_BYTES:
            return written.getvalue()
    raise SystemExit(f"a picture is over {MOST_BYTES} bytes at the lowest quality")


if __name__ == "__main__":
    sys.exit(main())
