"""Events of a YAML text: read by libyaml, or by PyYAML where the two could differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from .yaml_text import Text

MAX_WORDS = 1_000_000
"""Words and signs that PyYAML's own parser reads: what bounds its time, whatever the text.

libyaml scans MAX_BYTES in a fraction of a second, and MAX_VALUES bounds the events it gives.
"""
_READ_OTHERWISE = re.compile(r"[\t?]|(?:^|[-:,\[{]|[&*][-\w]+) *!|^%|[|>][-+0-9]*#", re.M)
"""Text that libyaml reads differently: tabs, "?" in brackets, tags, directives and "|#"."""
_ADVICE = (
    # a pattern in PyYAML's message, what to say instead, whether to point where its context began
    (r"could not find expected ':'", "expected ':' after this key", True),
    (r"found character '\\t'", "a tab cannot stand here: use spaces", False),
    (r"start any token", "text that begins with this sign needs quotes", False),
    (r"sequence entries", "a list item cannot begin here: give it a line of its own", False),
    (r"mapping keys", "text that begins with '? ' needs quotes", False),
    (r"mapping values", "unexpected ':': check the indentation, and quote text with ': '", False),
    (r"<(document start|block end)>", "unexpected text: check the indentation and quotes", False),
    (r"expected ','", "expected ',' or a closing bracket; text with brackets needs quotes", False),
    (r"node content", "a value is missing here", False),
    (r"a quoted scalar", "this quote is never closed", True),
    (r"double-quoted", "unknown escape in double quotes: write \\\\ for a backslash", False),
    (r"block scalar", "only '-', '+', a digit from 1 to 9 or a comment may follow", True),
    (r"an (alias|anchor)", "text that begins with '*' or '&' needs quotes", True),
    (r"tag", "text that begins with '!' needs quotes", True),
)


def read_events(text: Text, start: int) -> Iterator[Any]:
    """Yield PyYAML's events from ``start`` on; their marks count from there.

    libyaml is ten times as fast, but puts other words and positions into its errors. So what it
    refuses is read again by PyYAML's own parser, which then decides.
    """
    import yaml  # takes 20 ms, which `import rmplug` need not pay

    count, written = 0, text.text[start:]
    if yaml.__with_libyaml__ and not _READ_OTHERWISE.search(written):
        parser = yaml.CBaseLoader(written)
        try:
            while parser.check_event():
                yield parser.get_event()
                count += 1
            return
        except yaml.YAMLError:
            pass
    yield from islice(_python_events(text, start), count, None)


def _python_events(text: Text, start: int) -> Iterator[Any]:
    """Yield the events of PyYAML's own parser; raise SpecError where it stops."""
    from yaml.error import MarkedYAMLError

    parser, end = _python_parser(text, start), start
    try:
        while parser.check_event():
            event = parser.get_event()
            end = start + event.end_mark.index
            yield event
        return
    except MarkedYAMLError as error:
        advice, offset = _advice(error)
    except (ValueError, OverflowError):  # chr() of a \U escape beyond the last character
        advice, offset = "no such character: the last one is \\U0010FFFF", parser.index
    text.refuse_no_break(end, text.line_end(start + offset))  # what may have led to the error
    text.refuse(advice, start + offset)


def _python_parser(text: Text, start: int) -> Any:
    from yaml.parser import Parser
    from yaml.reader import Reader as Characters
    from yaml.scanner import Scanner

    class Bounded(Characters, Scanner, Parser):
        """PyYAML's own parser, which stops at too many words and at a directive."""

        words = 0

        def forward(self, length: int = 1) -> None:
            """Advance by some characters: whatever PyYAML's scanner reads, it reads through
            this."""
            self.words += 1
            if self.words > MAX_WORDS:
                advice = "too many words: keep long texts in files of their own"
                text.refuse(advice, start + self.index)
            super().forward(length)

        def fetch_directive(self) -> None:
            """Refuse a '%' that begins a line, where the scanner would read a directive."""
            text.refuse("a spec takes no directives: delete this line", start + self.index)

    parser = Bounded(text.text[start:])
    Scanner.__init__(parser)
    Parser.__init__(parser)
    return parser


def _advice(error: Any) -> tuple[str, int]:
    """Return advice for PyYAML's complaint, and the offset to point at."""
    complaint = f"{error.context}: {error.problem}"
    for pattern, advice, from_context in _ADVICE:
        if re.search(pattern, complaint):
            opened, met = error.context_mark, error.problem_mark
            if "bracket;" in advice and opened is not None and opened.line < met.line:
                advice += f" (line {opened.line + 1} opens a bracket that is not closed)"
            return advice, (opened if from_context else met).index
    return error.problem, error.problem_mark.index
