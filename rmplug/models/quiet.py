"""Loading models without what their library prints."""

from __future__ import annotations

import logging as python_logging
from collections.abc import Iterator
from contextlib import contextmanager

# bitsandbytes, which PEFT imports, tells of kernels that only its quantized models use
python_logging.getLogger("bitsandbytes").setLevel(python_logging.ERROR)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what `transformers` prints while it loads: what matters becomes an error."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
