"""Columns from Python objects, as databases and sheets give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa


def to_array(values: Sequence[Any]) -> pa.Array:
    """An Arrow array of a common type; text where there is none. None is missing."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    try:
        if all(value is None or isinstance(value, (int, float)) for value in values):
            return pa.array([None if value is None else float(value) for value in values])
    except OverflowError:
        pass
    return pa.array([None if value is None else str(value) for value in values], pa.string())
