"""How many cores a run computes on, as far as the environment tells. No TensorFlow."""

from __future__ import annotations

import os


def cores() -> int:
    """As TF_NUM_INTRAOP_THREADS or OMP_NUM_THREADS says, the first that does; else all we may run on."""
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value):
            return int(value)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
