"""What the data suggest for a kernel, before it is built: its columns, and where its numbers start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from svgp.kernels.base import Kernel


@dataclass(frozen=True)
class Start:
    """Start values for a kernel that acts on some of the model's input columns.

    `names`, `all_lengthscales [D]` and `all_rows [n, D]` are of all D columns; the properties are of those in
    `columns`, on which the kernel acts. Without data (a saved model is about to be loaded) rows and targets
    are None, and values matter by their shapes alone.
    """

    names: Sequence[str]
    all_lengthscales: np.ndarray  # [D]
    variance: float  # of the function
    dtype: tf.DType
    columns: tuple[int, ...]
    build: Callable[[Any, Start], Kernel]
    all_rows: np.ndarray | None = None  # [n, D] some training rows
    targets: np.ndarray | None = None  # [n, P] of them
    seed: int = 0

    @property
    def lengthscales(self) -> np.ndarray:
        """One for each column that the kernel acts on."""
        return self.all_lengthscales[list(self.columns)]

    @property
    def rows(self) -> np.ndarray | None:
        """Some training rows [n, A] in the kernel's columns."""
        return None if self.all_rows is None else self.all_rows[:, list(self.columns)]

    @property
    def spread(self) -> np.ndarray:
        """Standard deviation of each of the kernel's columns [A], 1 where it is constant or unknown."""
        if self.rows is None or not len(self.rows):
            return np.ones(len(self.columns))
        spread = self.rows.std(axis=0)
        return np.where(spread > 0, spread, 1.0)

    def on(self, columns: Sequence[int] | None) -> Start:
        """The same for a kernel that acts on these of all columns (None: on those of now)."""
        return self if columns is None else replace(self, columns=tuple(columns))

    def kernel(self, section: Any, **changed: Any) -> Kernel:
        """The kernel that a section describes, from this start with some fields `changed` (`variance=`)."""
        return self.build(section, replace(self, **changed))
