"""Code on a hub that libraries would fetch and run by themselves: kept out."""

from __future__ import annotations

import logging
import sys

QUIET = "bitsandbytes.backends.cpu.ops"
"""The logger of the warning that bitsandbytes did not fetch a kernel."""


def refuse_hub_code() -> None:
    """Hide the package ``kernels`` from libraries, for the rest of the process; without effect
    where it is imported already, which is then the choice of whoever did.

    ``kernels`` downloads compiled code from the hub and loads it, and no specification asks for
    that. Where it is installed, bitsandbytes calls it when it is imported itself (which PEFT does
    even for a model without quantized weights), and transformers for Mamba's layers, and in the
    place of a ``flash_attn`` that is missing. Neither has a setting that stops all of it. To be
    called before transformers is imported.
    """
    sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]  # an import then fails
    # without the package, bitsandbytes advises to install it, on every import of PEFT
    logging.getLogger(QUIET).setLevel(logging.ERROR)
