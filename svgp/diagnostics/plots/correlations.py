"""How several targets go together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from svgp.diagnostics.plots.style import new_figure, plain, styled

MOST_NUMBERS = 12  # targets up to which each square has its number


@styled
def output_correlations(correlations: np.ndarray, names: Sequence[str]) -> Figure:
    """The prior correlation [P, P] between the functions of P targets, as coloured squares."""
    count = len(names)
    side = 2.2 + 0.34 * min(count, 30)
    figure = new_figure(side + 0.8, side)
    axes = figure.subplots()
    image = axes.imshow(correlations, vmin=-1, vmax=1, cmap="RdBu_r")
    axes.set_xticks(range(count), [plain(name) for name in names], rotation=45, ha="right")
    axes.set_yticks(range(count), [plain(name) for name in names])
    axes.grid(False)
    if count <= MOST_NUMBERS:
        for (row, column), value in np.ndenumerate(correlations):
            dark = abs(value) > 0.6
            axes.text(
                column, row, f"{value:.2f}", ha="center", va="center", fontsize=7,
                color="white" if dark else "black",
            )  # fmt: skip
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_title("Correlation between targets")
    return figure
