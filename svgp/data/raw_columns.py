"""What the input and the target columns of a table have in common: how they are read, and what is refused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from svgp.data.checks import LARGEST, refuse_infinite, refuse_missing
from svgp.data.readings import Reading, apply

TEXT_ADVICE = "correct it; or train with the column under data.categorical, or out of data.inputs"


@dataclass(frozen=True, eq=False, kw_only=True)
class RawColumns(ABC):
    """Columns of a table by name, and how each is read that is not numbers already."""

    readings: Mapping[str, Reading] = field(default_factory=dict)  # of raw columns

    @property
    @abstractmethod
    def raw_names(self) -> list[str]:
        """The columns that a table must have for training."""

    def as_numbers(self, table: pa.Table) -> pa.Table:
        """The table with inputs and targets read as `readings` says. Raises DataError."""
        return apply(table, self.readings, self.raw_names)

    def _refuse_gaps(
        self,
        table: pa.Table,
        names: Sequence[str],
        owners: list[str],
        values: np.ndarray,
        *,
        allowed: bool = False,
        remedy: str = "",
    ) -> None:
        if (np.abs(values) <= LARGEST).all():
            return
        by_name = {name: values[:, owners.index(name)] for name in names}
        refuse_infinite(table, by_name)
        if not allowed:
            refuse_missing(table, by_name, remedy)
