"""Several targets of different kinds of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from svgp.data.tasks.base import Task
from svgp.data.tasks.numbers import Regression


class Mixed(Regression):
    """`parts[p]` is the task of target p; what is asked of all together is what any number is."""

    continuous = False  # not all of them

    def __init__(self, parts: Sequence[Task]) -> None:
        self.parts = tuple(parts)
        self.name = "+".join(part.name for part in self.parts)

    def of_target(self, place: int) -> Task:
        """The task of target `place`."""
        return self.parts[place]
