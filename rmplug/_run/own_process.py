"""What rmplug sets in processes of its own, its commands and workers, and in no user's."""

from __future__ import annotations

import gc
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

COLLECTED_AFTER = (10_000, 10, 10)
"""How many more objects are made than freed until Python looks for cycles among the young ones,
and how often before it looks at older ones. By itself it looks after 700, at a million objects that
imports of torch and transformers have made and that all stay: a second of a run."""

KERNELS = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64", "LRU_CACHE_CAPACITY": "64"}
"""The most compiled kernels that oneDNN, and PyTorch for it, keep: one for each shape of its input
that a layer meets. Batches of texts rarely have a shape twice, so that by themselves they keep 1024
of those that never come again, hundreds of megabytes; a forward pass needs some ten."""


def settle_own_process() -> None:
    """Set what a process of rmplug's own wants of Python and of libraries, before any is
    imported."""
    let_idle_threads_sleep()
    gc.set_threshold(*COLLECTED_AFTER)
    for name, most in KERNELS.items():
        os.environ.setdefault(name, most)


def let_idle_threads_sleep() -> None:
    """Have threads that wait for work sleep soon, in a process of rmplug's own: libraries read this
    when they are loaded. One of whose variables the user sets any is left as it is."""
    for beginnings, (name, value) in WAITS.items():
        if not any(variable.startswith(beginnings) for variable in os.environ):
            os.environ[name] = value
