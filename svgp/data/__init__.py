"""Tables in, arrays out: sources, columns, splits, scaling, built-in data sets, writing predictions."""

from __future__ import annotations

from svgp.data.builtin import BUILTIN, BuiltinSet, find_dataset, iter_dataset, make_dataset
from svgp.data.columns import Columns
from svgp.data.dataset import Dataset, load_dataset
from svgp.data.sources import fingerprint, iter_tables, read_table
from svgp.data.writer import TableWriter

__all__ = [
    "BUILTIN",
    "BuiltinSet",
    "Columns",
    "Dataset",
    "TableWriter",
    "find_dataset",
    "fingerprint",
    "iter_dataset",
    "iter_tables",
    "load_dataset",
    "make_dataset",
    "read_table",
]
