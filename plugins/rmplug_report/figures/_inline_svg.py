"""A figure's SVG as embedded in the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from markupsafe import Markup

from rmplug_report.inputs._wording import Cuts

from ._palette import themed

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
HREF = f"{{{XLINK}}}href"
DROPPED = {f"{{{SVG}}}{name}" for name in ("metadata", "style")}
PAINTED = ("style", "fill", "stroke")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
FONT = re.compile(r"font-family: [^;]+;? ?")

# How elements are written is a setting of the whole module; without it each is "ns0:".
ElementTree.register_namespace("", SVG)
ElementTree.register_namespace("xlink", XLINK)


def inlined(
    svg: str, prefix: str, alt: str, hints: Mapping[str, str], scrolls: bool, cuts: Cuts
) -> Markup:
    """Return the SVG without prolog, style sheet and fixed size, in the page's font and colours.

    Ids begin with ``prefix``. ``hints`` are the texts of marks, by the id that each is drawn with;
    ``cuts`` the whole texts of labels, which stand there for those who point at them.

    Only elements and attributes are changed, so that no label of a figure is taken for one.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in DROPPED]:
            parent.remove(child)
    for element in root.iter(f"{{{SVG}}}text"):
        _tell_whole(element, cuts)
    for element in root.iter():
        _hint(element, hints)
        _rename(element, prefix)
        for name in PAINTED:
            if value := element.get(name):
                element.set(name, themed(FONT.sub("", value)))
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    root.set("role", "group" if hints else "img")
    root.set("aria-label", alt)
    if scrolls:
        root.set("style", f"min-width: {width * 0.78:.0f}px; max-width: {width:.0f}px")
    return Markup(ElementTree.tostring(root, encoding="unicode").strip())


def _tell_whole(element: ElementTree.Element, cuts: Cuts) -> None:
    """Give a text with a label that was cut the whole one as a title."""
    text = whole = element.text or ""
    for cut, texts in reversed(cuts.items()):  # what was cut twice was last cut last
        whole = whole.replace(cut, " / ".join(texts))
    if whole != text:
        ElementTree.SubElement(element, f"{{{SVG}}}title").text = whole


def _hint(element: ElementTree.Element, hints: Mapping[str, str]) -> None:
    """Make marks with hints reachable by keyboard: the first by tab, the others by arrows."""
    mark = element.get("id", "")
    if mark in hints:
        first = mark == next(iter(hints))
        element.set("role", "img")
        element.set("data-hint", hints[mark])
        element.set("aria-label", hints[mark])
        element.set("data-mark", mark)
        element.set("tabindex", "0" if first else "-1")


def _rename(element: ElementTree.Element, prefix: str) -> None:
    """Rename ids so that no other figure has them; groups need none."""
    if element.tag == f"{{{SVG}}}g":
        element.attrib.pop("id", None)
    for name, value in list(element.attrib.items()):
        if name == "id":
            element.set(name, f"{prefix}-{value}")
        elif name == HREF:
            element.set(name, f"#{prefix}-{value.removeprefix('#')}")
        elif "url(#" in value:
            element.set(name, REFERENCE.sub(rf"url(#{prefix}-\1)", value))
