"""Plots of the fitted function: a band over one input, a probability over two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from svgp.diagnostics.plots.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    limits,
    new_figure,
    plain,
    styled,
    thin,
    vector,
)

_TWO_CLASSES = LinearSegmentedColormap.from_list("svgp", ["#66AAD1", "#F7F7F7", "#E69E66"])


@styled
def fit_1d(
    x: np.ndarray,
    y: np.ndarray,
    grid: np.ndarray,
    mean: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    Z: np.ndarray | None = None,
    x_test: np.ndarray | None = None,
    y_test: np.ndarray | None = None,
    input_name: str = "x",
    target: str = "y",
    title: str = "Fit and 95% predictive band",
) -> Figure:
    """Data (x, y) `[N]`, predictive mean and band on `grid [G]`, ticks at the inducing points."""
    figure = new_figure(7.2, 4.4)
    axes = figure.subplots()
    order = np.argsort(vector(grid))
    at, centre = vector(grid)[order], vector(mean)[order]
    below, above = vector(lower)[order], vector(upper)[order]
    shown, heights = thin(vector(x), vector(y))
    axes.fill_between(at, below, above, color=BLUE, alpha=0.18, linewidth=0, label="95% band")
    axes.plot(at, centre, color=BLUE, label="mean")
    axes.scatter(shown, heights, s=9, color=BLACK, alpha=0.55, linewidths=0, label="training rows")
    if x_test is not None and y_test is not None and len(vector(x_test)):
        places, values = thin(vector(x_test), vector(y_test))
        axes.scatter(places, values, s=14, color=VERMILLION, marker="x", linewidths=0.9, label="test rows")
    ends = limits(np.concatenate([shown, at]), pad=0.0)
    if Z is not None and len(vector(Z)):
        # Clipping is off for the ticks' lower half, so those beyond the ends would stand outside the axes.
        seen = vector(Z)[(vector(Z) >= ends[0]) & (vector(Z) <= ends[1])]
        floor = np.zeros(len(seen))  # in the axes' own height, so that the ticks sit on the bottom edge
        place = axes.get_xaxis_transform()
        axes.plot(seen, floor, "|", color=VERMILLION, markersize=11, markeredgewidth=1.3,
                  transform=place, clip_on=False, label="inducing points")  # fmt: skip
    axes.set_ylim(*limits(np.concatenate([heights, below, above])))
    axes.set_xlim(*ends)
    axes.set_xlabel(plain(input_name))
    axes.set_ylabel(plain(target))
    axes.set_title(title)
    figure.legend(loc="outside lower center", ncols=5)
    return figure


@styled
def counts_fit(
    x: np.ndarray,
    counts: np.ndarray,
    grid: np.ndarray,
    rate: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    *,
    Z: np.ndarray | None = None,
    input_name: str = "x",
    target: str = "count",
) -> Figure:
    """Counts `[N]` over one input, with the expected count and its 95% predictive band on `grid [G]`."""
    figure = fit_1d(
        x, counts, grid, rate, lower, upper, Z=Z, input_name=input_name, target=target,
        title="Expected count and 95% predictive band",
    )  # fmt: skip
    axes = figure.axes[0]
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    return figure


@styled
def probability_surface(
    grid_x: np.ndarray,
    grid_y: np.ndarray,
    probability: np.ndarray,
    X: np.ndarray,
    labels: np.ndarray,
    *,
    Z: np.ndarray | None = None,
    names: Sequence[str] = ("x1", "x2"),
    classes: Sequence[str] = ("0", "1"),
) -> Figure:
    """Probability `[H, G]` of class 1 over `grid_x [G]` and `grid_y [H]`; rows X `[N, 2]`, labels 0 or 1.

    The line is where both classes are equally likely.
    """
    probability = np.asarray(probability, dtype=np.float64)
    figure = new_figure(6.8, 5.2)
    axes = figure.subplots()
    mesh = axes.pcolormesh(grid_x, grid_y, probability, cmap=_TWO_CLASSES, vmin=0, vmax=1, shading="gouraud")
    if probability.min() < 0.5 < probability.max():
        axes.contour(grid_x, grid_y, probability, levels=[0.5], colors=BLACK, linewidths=1.2)
    rows, marks = thin(np.asarray(X, dtype=np.float64), vector(labels))
    for label, colour, marker in ((0, BLUE, "o"), (1, VERMILLION, "^")):
        chosen = rows[marks == label]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=16, color=colour, marker=marker, edgecolors="white",
                     linewidths=0.5, label=plain(classes[label]), zorder=3)  # fmt: skip
    if Z is not None:
        at = np.asarray(Z, dtype=np.float64)
        axes.scatter(at[:, 0], at[:, 1], s=26, color=BLACK, marker="+", linewidths=1.0,
                     label="inducing points", zorder=4)  # fmt: skip
    axes.grid(False)
    axes.set_xlim(*limits(vector(grid_x), pad=0.0))
    axes.set_ylim(*limits(vector(grid_y), pad=0.0))
    axes.set_xlabel(plain(names[0]))
    axes.set_ylabel(plain(names[1]))
    axes.set_title(f"Probability of {plain(classes[1])}")
    bar = figure.colorbar(mesh, ax=axes, label=f"probability of {plain(classes[1])}")
    bar.outline.set_edgecolor(GREY)
    figure.legend(loc="outside lower center", ncols=3)
    return figure
