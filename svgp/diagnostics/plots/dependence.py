"""How the prediction goes with each input, the others as they are in the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

from svgp.diagnostics.plots.style import BLUE, GREY, SKY, new_figure, plain, styled


class Dependence(NamedTuple):
    """Partial dependence on one input: predictions where it is set to each value of a grid, in all rows."""

    name: str
    grid: np.ndarray  # [G]
    curves: np.ndarray  # [rows, G] the prediction for each row
    values: np.ndarray  # [n] of the input in the data


@styled
def partial_dependence(found: Sequence[Dependence], *, target: str) -> Figure:
    """A panel for each input: the mean over rows (Friedman 2001), and the middle 80% of the rows.

    Where the band is as narrow as a line the input adds to the others; a wide one speaks of other inputs'
    effects, one that opens or crosses of interactions. Ticks below: a decile of the data each.
    """
    columns = min(3, len(found))
    rows = -(-len(found) // columns)
    figure = new_figure(1.0 + 2.6 * columns, 0.6 + 2.2 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, one in zip(panels, found, strict=False):
        low, high = np.quantile(one.curves, [0.1, 0.9], axis=0)
        axes.fill_between(one.grid, low, high, color=SKY, alpha=0.4, linewidth=0)
        axes.plot(one.grid, one.curves.mean(axis=0), color=BLUE)
        deciles = np.quantile(one.values, np.linspace(0.1, 0.9, 9))
        axes.plot(deciles, np.full(9, 0.015), "|", color=GREY, transform=axes.get_xaxis_transform())
        axes.set_xlabel(plain(one.name))
    for axes in panels[::columns]:
        axes.set_ylabel(plain(target))
    for axes in panels[len(found) :]:
        axes.set_axis_off()
    figure.suptitle("Predicted mean by input: average over rows, and the middle 80% of them", fontsize=10)
    return figure
