"""Memory that a step gives back stays with the process for the next step.

Each training step makes and frees some arrays of megabytes. glibc returns those to the system, and the next
step gets them page by page, each one cleared: with 256 points and 1,024 rows these are 2,300 page faults, an
eighth of the step (`scripts/benchmark_step`). So it is told to keep up to 256 MB.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache

KEPT = 256 << 20  # bytes at the top of the heap that are not given back
LARGEST = 32 << 20  # bytes of an array that comes from the heap; glibc takes no more
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # malloc.h


@lru_cache(maxsize=1)
def keep_memory() -> bool:
    """Keep freed memory from now on; whether that could be asked for.

    False, and nothing changes, where the C library is not glibc, or where the user has set it (MALLOC_...).
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))
