"""Sources of training rows that need not be in memory: one protocol, and the rows that are."""

from __future__ import annotations

from svgp.rows.arrays import ArrayRows, as_rows
from svgp.rows.base import Block, Moments, Rows

__all__ = ["ArrayRows", "Block", "Moments", "Rows", "as_rows"]
