"""Tasks: what a target column may hold, how it is scaled, and what stands out in it.

regression  any number                      standardised
positive    a number above zero             divided by its geometric mean
share       a number from 0 to 1            as it is
count       0, 1, 2, ...                    as it is
binary      two labels                      0 and 1
multiclass  labels                          0 to K - 1
ordinal     labels with an order            0 to K - 1

Several targets may be numbers of different tasks: "regression+count".
"""

from __future__ import annotations

from svgp.data.tasks.base import Task
from svgp.data.tasks.classes import Binary, Multiclass, Ordinal
from svgp.data.tasks.mixed import Mixed
from svgp.data.tasks.numbers import Count, Positive, Regression, Share

TASKS: dict[str, Task] = {
    task.name: task
    for task in (Regression(), Binary(), Multiclass(), Ordinal(), Count(), Positive(), Share())
}


def task_named(name: str) -> Task:
    """One of TASKS, or those of several targets joined by +. Raises KeyError."""
    return TASKS[name] if "+" not in name else Mixed([TASKS[part] for part in name.split("+")])


__all__ = [
    "TASKS", "Binary", "Count", "Mixed", "Multiclass", "Ordinal", "Positive", "Regression", "Share", "Task",
    "task_named",
]  # fmt: skip
