"""What a task is, as far as a table is concerned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa


class Task(ABC):
    """The targets of one kind. There is one object of each, in `svgp.data.tasks.TASKS`."""

    name: str
    labels = False  # targets are labels: text may be, and predictions are classes
    continuous = False  # targets have a density: central intervals cover what they say
    several = True  # whether a run may have a list of targets

    def of_target(self, place: int) -> Task:
        """The task of one of several targets."""
        return self

    @abstractmethod
    def values(self, table: pa.Table, name: str, classes: Sequence[Any] | None) -> np.ndarray:
        """Target values `[N]` in float64, before scaling; missing ones are NaN.

        Labels become 0, 1, ... in the order of `classes`. Raises DataError for what cannot be one.
        """

    def presence(self, table: pa.Table, name: str) -> np.ndarray:
        """Values `[N]` of which only NaN and infinities matter, when no classes are known yet."""
        return self.values(table, name, None)

    def find_classes(
        self, table: pa.Table, name: str, order: Sequence[Any] | None = None
    ) -> list[Any] | None:
        """The labels of a target in order; None for numbers. Raises DataError."""
        return None

    def scaling(self, values: np.ndarray) -> tuple[float, float]:
        """Shift and scale of the model's target, `(y - shift) / scale`, from training values `[N]`."""
        return 0.0, 1.0

    def check_rows(self, where: str, Y: np.ndarray, classes: Sequence[Any] | None) -> None:
        """Raise DataError where training rows Y [N, P] cannot teach anything."""
        return

    def findings(self, name: str, values: np.ndarray, classes: Sequence[Any] | None) -> Iterator[str]:
        """What stands out in a target's values `[N]`, in words."""
        return iter(())
