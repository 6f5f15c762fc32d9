"""Number formats of weights that the processor of this machine computes slowly."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PROCESSOR = Path("/proc/cpuinfo")
NAMES = ("flags", "Features")
"""The lines of ``PROCESSOR`` that say what it has, on x86 and on ARM."""
FAST_WITH = {
    "bfloat16": {"amx_bf16", "avx512_bf16", "bf16", "svebf16"},
    "float16": {"amx_fp16", "avx512_fp16"},
}
"""What a processor must have for a format, by the names that Linux has for it; any one will do.
Beside float32, a small encoder took .3 (AMX) and 1.2 times the time in bfloat16 with these and 2.8
times without, in float16 .9 times and 6 times."""


@cache
def slow_formats() -> frozenset[str]:
    """Return the formats of half precision that this processor computes slower than float32: both
    where the system does not tell what it has."""
    try:
        text = PROCESSOR.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    lines = (line.partition(":") for line in text.splitlines())
    has = {word for name, _, words in lines if name.strip() in NAMES for word in words.split()}
    return frozenset(name for name, any_of in FAST_WITH.items() if not has & any_of)
