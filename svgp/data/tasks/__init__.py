"""Tasks: what a target column may hold, how it is scaled, and what stands out in it.

regression  any number                      standardised
positive    a number above zero             divided by its geometric mean
share       a number from 0 to 1            as it is
count       0, 1, 2, ...                    as it is
binary      two labels                      0 and 1
multiclass  labels                          0 to K - 1
ordinal     labels with an order            0 to K - 1
"""

from __future__ import annotations

from svgp.data.tasks.base import Task
from svgp.data.tasks.classes import Binary, Multiclass, Ordinal
from svgp.data.tasks.numbers import Count, Positive, Regression, Share

TASKS: dict[str, Task] = {
    task.name: task
    for task in (Regression(), Binary(), Multiclass(), Ordinal(), Count(), Positive(), Share())
}

__all__ = ["TASKS", "Binary", "Count", "Multiclass", "Ordinal", "Positive", "Regression", "Share", "Task"]
