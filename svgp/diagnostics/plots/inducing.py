"""Plots of the inducing points: their diagnostics over time, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from svgp.diagnostics.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    column,
    limits,
    new_figure,
    nothing,
    plain,
    styled,
    thin,
    vector,
)


@styled
def inducing_over_time(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Six panels from the rows of `inducing.jsonl`, against epochs; the last is of the last row."""
    figure = new_figure(11, 6)
    panels = figure.subplots(2, 3).ravel()
    _lines(
        panels[0],
        rows,
        "Unexplained prior variance",
        "% of prior variance",
        {"residual_p95": ("95th percentile", VERMILLION), "residual_mean": ("mean", BLUE)},
        log=True,
        scale=100.0,
    )
    _lines(
        panels[1], rows, "Condition of Kuu", "condition number", {"condition_number": ("", BLUE)}, log=True
    )
    _lines(
        panels[2],
        rows,
        "Points in use",
        "number of points",
        {
            "count": ("all", GREY),
            "effective_rank": ("effective rank", BLUE),
            "redundant": ("redundant", VERMILLION),
            "uninformed": ("learned nothing", ORANGE),
            "outside": ("outside the data", PURPLE),
        },
    )
    _lines(
        panels[3],
        rows,
        "Smallest distance of two points",
        "lengthscales",
        {"smallest_distance": ("", BLUE)},
        log=True,
    )
    _lines(
        panels[4],
        rows,
        "Movement from the start",
        "lengthscales",
        {"moved_max": ("largest", VERMILLION), "moved_mean": ("mean", BLUE)},
    )
    _contributions(panels[5], rows[-1] if rows else {})
    return figure


@styled
def inducing_positions(
    X: np.ndarray,
    Z: np.ndarray,
    Z_start: np.ndarray | None = None,
    *,
    y: np.ndarray | None = None,
    lengthscales: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    target: str = "target",
) -> Figure:
    """Where Z `[M, D]` lies over the rows X `[N, D]`, with a line from each point's start.

    D = 1: data (with `y [N]`) above, points below. D >= 2: the two inputs with the largest spread in
    lengthscales, `std(X_j) / lengthscale_j`. X, Z and `lengthscales [D]` share their units.
    """
    X, Z = np.asarray(X, dtype=np.float64), np.asarray(Z, dtype=np.float64)
    start = None if Z_start is None or np.shape(Z_start) != Z.shape else np.asarray(Z_start, dtype=np.float64)
    labels = (
        [plain(name) for name in names] if names is not None else [f"x{j + 1}" for j in range(X.shape[1])]
    )
    if X.shape[1] == 1:
        return _positions_1d(
            X[:, 0], Z[:, 0], None if start is None else start[:, 0], y, labels[0], plain(target)
        )
    first, second = most_relevant(X, lengthscales)
    figure = new_figure(6.2, 5.4)
    axes = figure.subplots()
    (rows,) = thin(X[:, [first, second]])
    axes.scatter(
        rows[:, 0],
        rows[:, 1],
        s=7,
        color=GREY,
        alpha=0.45,
        linewidths=0,
        label=_drawn("data", len(rows), len(X)),
    )
    ends = Z[:, [first, second]]
    if start is not None:
        starts = start[:, [first, second]]
        axes.add_collection(
            LineCollection(list(np.stack([starts, ends], axis=1)), colors=BLUE, linewidths=0.7, alpha=0.5)
        )
        axes.scatter(
            starts[:, 0],
            starts[:, 1],
            s=10,
            facecolors="none",
            edgecolors=BLUE,
            linewidths=0.7,
            alpha=0.7,
            label="start",
        )
    axes.scatter(
        ends[:, 0],
        ends[:, 1],
        s=16,
        color=VERMILLION,
        edgecolors="white",
        linewidths=0.4,
        label=f"{len(Z)} inducing points",
        zorder=3,
    )
    axes.set_xlabel(labels[first])
    axes.set_ylabel(labels[second])
    axes.set_title("Inducing points" + ("" if X.shape[1] == 2 else ", two most relevant inputs"))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def most_relevant(X: np.ndarray, lengthscales: np.ndarray | None) -> tuple[int, int]:
    """The two columns of X `[N, D]` with the largest `std / lengthscale`, in the table's order."""
    if lengthscales is not None:
        X = X / np.asarray(lengthscales, dtype=np.float64).reshape(-1, X.shape[1]).min(axis=0)
    spread = (X / (np.abs(X).max() or 1.0)).std(axis=0)  # [D]; squares of 1e200 would overflow
    first, second = sorted(np.argsort(-spread, kind="stable")[:2].tolist())
    return first, second


def _positions_1d(
    x: np.ndarray, z: np.ndarray, start: np.ndarray | None, y: np.ndarray | None, name: str, target: str
) -> Figure:
    figure = new_figure(7.2, 4.4)
    above, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 1]})
    heights = np.zeros_like(x) if y is None else vector(y)
    shown, heights = thin(x, heights)
    above.scatter(
        shown, heights, s=9, color=GREY, alpha=0.6, linewidths=0, label=_drawn("data", len(shown), len(x))
    )
    above.set_ylim(*limits(heights))
    above.set_ylabel(target if y is not None else "")
    above.set_title("Inducing points over the data")
    if start is not None:
        paths = np.stack([np.stack([start, np.zeros_like(z)], 1), np.stack([z, np.ones_like(z)], 1)], axis=1)
        below.add_collection(LineCollection(list(paths), colors=BLUE, linewidths=0.7, alpha=0.6))
        below.plot(start, np.zeros_like(z), "o", color=BLUE, markerfacecolor="white", markersize=4)
    below.plot(z, np.ones_like(z), "|", color=VERMILLION, markersize=12, markeredgewidth=1.4)
    below.set_ylim(-0.5, 1.5)
    below.set_yticks([0, 1] if start is not None else [1], ["start", "now"] if start is not None else ["now"])
    below.grid(False, axis="y")
    below.set_xlabel(name)
    below.set_xlim(*limits(np.concatenate([x, z])))
    return figure


def _lines(
    axes: Axes,
    rows: Sequence[Mapping[str, Any]],
    title: str,
    unit: str,
    series: Mapping[str, tuple[str, str]],
    *,
    log: bool = False,
    scale: float = 1.0,
) -> None:
    axes.set_title(title)
    epochs, drawn, span = column(rows, "epoch"), False, (np.inf, -np.inf)
    for key, (label, colour) in series.items():
        values = scale * column(rows, key)
        good = np.isfinite(values) & np.isfinite(epochs) & ((values > 0) | (not log))
        if good.any():
            drawn = True
            span = (min(span[0], values[good].min()), max(span[1], values[good].max()))
            axes.plot(
                epochs[good],
                values[good],
                color=colour,
                label=label or None,
                marker="o" if good.sum() <= 25 else None,
            )
    if not drawn:
        nothing(axes)
        return
    axes.set_xlabel("epochs")
    axes.set_ylabel(unit)
    if log and span[1] > 10.0 * span[0]:  # within a factor of ten plain numbers read better
        axes.set_yscale("log")
    if unit == "number of points":
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if any(label for label, _ in series.values()):
        axes.legend()


def _contributions(axes: Axes, row: Mapping[str, Any]) -> None:
    axes.set_title("Who does the work, at the end")
    drawn = False
    for key, label, colour in (
        ("explained_by_point", "explained variance", BLUE),
        ("kl_by_point", "KL", GREEN),
    ):
        parts = np.sort(vector(row.get(key)))[::-1]
        if len(parts) and parts.sum() > 0:
            drawn = True
            share = 100.0 * np.concatenate([[0.0], np.cumsum(parts) / parts.sum()])
            axes.plot(np.arange(len(share)), share, color=colour, label=label)
    if not drawn:
        nothing(axes)
        return
    axes.axhline(100.0, color=BLACK, linewidth=0.6, alpha=0.4)
    axes.set_xlabel("points, the largest contribution first")
    axes.set_ylabel("% of the total, summed up")
    axes.legend(loc="lower right")


def _drawn(what: str, drawn: int, number: int) -> str:
    return what if drawn == number else f"{what} ({drawn:,} of {number:,} rows)"
