"""Numbers that stand for a missing value: -99, 999 and the like, far beside all others."""

from __future__ import annotations

import re
from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

CODED = 3  # rows at least that share a far value before it is taken for a code
_NINES = re.compile(r"-?99+")


def find_code(values: np.ndarray) -> float | None:
    """The least or the greatest of `values` `[N]` if it is written in nines, occurs CODED times or more, and
    lies farther from all others than these from one another; None otherwise. NaN is no value.

    Temperatures of -10 to 40 with -99 have one, and ages of 20 to 99 have none.
    """
    levels, rows = np.unique(values[np.isfinite(values)], return_counts=True)
    if len(levels) < 4:
        return None
    for code, count, others in ((levels[0], rows[0], levels[1:]), (levels[-1], rows[-1], levels[:-1])):
        away = float(np.min(np.abs(others - code)))
        if count >= CODED and away > np.ptp(others) and _NINES.fullmatch(f"{code:.12g}"):
            return float(code)
    return None


def without_codes(column: pa.ChunkedArray, codes: Collection[float]) -> pa.ChunkedArray:
    """A column of numbers in float64, null where one of `codes` stands."""
    numbers = column.cast(pa.float64(), safe=False)
    coded = pc.is_in(numbers, value_set=pa.array(codes, pa.float64()))
    return pc.if_else(coded, pa.scalar(None, pa.float64()), numbers)
