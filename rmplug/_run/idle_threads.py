"""How long the threads of libraries wait for more work before they sleep."""

from __future__ import annotations

import os

WAITS = {
    ("OMP_", "GOMP_"): ("GOMP_SPINCOUNT", "1000"),
    ("OPENBLAS_",): ("OPENBLAS_THREAD_TIMEOUT", "16"),
}
"""By how the names of a library's variables begin: the one that says how long threads wait, and a
value of some 25 microseconds, about what it costs to wake a thread. OpenMP of GCC (PyTorch,
scikit-learn, LightGBM) counts turns of a loop, OpenBLAS (NumPy, SciPy) the power of two of cycles.
By themselves their threads wait 8 and 26 milliseconds after all they do, at the price of a whole
core each, and keep programs off it that would let the others of them go on."""


def let_idle_threads_sleep() -> None:
    """Have threads that wait for work sleep soon, in a process of rmplug's own: libraries read this
    when they are loaded. One of whose variables the user sets any is left as it is."""
    for beginnings, (name, value) in WAITS.items():
        if not any(variable.startswith(beginnings) for variable in os.environ):
            os.environ[name] = value
