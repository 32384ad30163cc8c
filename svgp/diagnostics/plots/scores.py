"""Plots of test predictions: how close they are, and whether their uncertainty can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from svgp.diagnostics.plots.style import (
    BLACK,
    BLUE,
    GREY,
    VERMILLION,
    limits,
    new_figure,
    nothing,
    plain,
    styled,
    thin,
    vector,
)
from svgp.diagnostics.scores import Calibration, rmse

_NORMAL_95 = 1.959963984540054


@styled
def predicted_vs_actual(
    actual: np.ndarray, mean: np.ndarray, std: np.ndarray | None = None, *, target: str = "target"
) -> Figure:
    """Predicted mean against actual value `[N]`, bars of 1.96 predicted standard deviations."""
    figure = new_figure(5.2, 5.0)
    axes = figure.subplots()
    y, m = vector(actual), vector(mean)
    if not len(y):
        nothing(axes, "no test rows")
        return figure
    s = np.full(len(y), np.nan) if std is None else vector(std)
    shown_y, shown_m, shown_s = thin(y, m, s)
    if std is not None:
        axes.errorbar(
            shown_y, shown_m, yerr=_NORMAL_95 * shown_s, fmt="none", ecolor=BLUE, alpha=0.18, linewidth=0.8
        )
    axes.scatter(shown_y, shown_m, s=9, color=BLUE, alpha=0.6, linewidths=0, zorder=3)
    edges = limits(np.concatenate([y, m]))
    axes.plot(edges, edges, color=BLACK, linewidth=0.9, linestyle="--")
    axes.set_xlim(*edges)
    axes.set_ylim(*edges)
    axes.set_aspect("equal")
    axes.set_xlabel(f"actual {plain(target)}")
    axes.set_ylabel(f"predicted {plain(target)}")
    axes.set_title(f"Predicted against actual, RMSE {rmse(y, m):.4g}")
    return figure


@styled
def residuals_vs_std(
    actual: np.ndarray, mean: np.ndarray, std: np.ndarray, *, target: str = "target"
) -> Figure:
    """Residual `y - mean` against predicted standard deviation, with the 95% wedge it should fall into."""
    figure = new_figure(6.2, 4.4)
    axes = figure.subplots()
    residual, s = vector(actual) - vector(mean), vector(std)
    if not len(s):
        nothing(axes, "no test rows")
        return figure
    inside = np.abs(residual) <= _NORMAL_95 * s
    shown_s, shown_r, shown_in = thin(s, residual, inside)
    left, right = limits(s)
    edge = np.array([max(left, 0.0), right])
    axes.fill_between(
        edge,
        -_NORMAL_95 * edge,
        _NORMAL_95 * edge,
        color=GREY,
        alpha=0.15,
        linewidth=0,
        label="95% of rows belong here",
    )
    axes.scatter(
        shown_s[shown_in], shown_r[shown_in], s=9, color=BLUE, alpha=0.6, linewidths=0, label="inside"
    )
    axes.scatter(
        shown_s[~shown_in],
        shown_r[~shown_in],
        s=12,
        color=VERMILLION,
        marker="x",
        linewidths=0.9,
        label="outside",
    )
    axes.axhline(0.0, color=BLACK, linewidth=0.8)
    axes.set_xlim(float(edge[0]), float(edge[1]))
    axes.set_ylim(*limits(np.concatenate([residual, _NORMAL_95 * edge, -_NORMAL_95 * edge])))
    axes.set_xlabel(f"predicted standard deviation of {plain(target)}")
    axes.set_ylabel(f"actual - predicted {plain(target)}")
    axes.set_title(f"Residuals, {100 * inside.mean():.1f}% inside the 95% interval")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def calibration_regression(curve: Calibration, *, rows: str = "test rows") -> Figure:
    """Nominal against empirical coverage of central intervals; on the diagonal the intervals are honest.

    rows: what the curve was taken from.
    """
    figure = new_figure(5.0, 4.8)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BLACK, linewidth=0.9, linestyle="--", label="honest")
    axes.fill_between([0, 1], [0, 1], [1, 1], color=BLUE, alpha=0.06, linewidth=0)
    axes.fill_between([0, 1], [0, 0], [0, 1], color=VERMILLION, alpha=0.06, linewidth=0)
    axes.text(0.05, 0.93, "intervals too wide", color=BLUE, fontsize=8)
    axes.text(0.95, 0.05, "intervals too narrow", color=VERMILLION, fontsize=8, ha="right")
    axes.plot(curve.expected, curve.observed, marker="o", color=BLUE, label=rows)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("nominal coverage of the interval")
    axes.set_ylabel(f"share of {rows} inside")
    worst = float(np.max(np.abs(curve.observed - curve.expected))) if len(curve.expected) else float("nan")
    axes.set_title(f"Calibration, largest gap {100 * worst:.1f} points")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def calibration_classification(curve: Calibration, *, positive: str = "1", rows: str = "test rows") -> Figure:
    """Reliability: predicted probability against observed share in each bin, and the rows a bin holds."""
    figure = new_figure(5.0, 5.6)
    axes, counts = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1]})
    axes.plot([0, 1], [0, 1], color=BLACK, linewidth=0.9, linestyle="--", label="honest")
    total = max(float(curve.weight.sum()), 1.0)
    # Two standard errors of a share of n rows: what chance alone would do.
    error = 2.0 * np.sqrt(
        np.clip(curve.expected * (1 - curve.expected), 1e-12, None) / np.maximum(curve.weight, 1.0)
    )
    axes.fill_between(
        curve.expected, np.clip(curve.expected - error, 0, 1), np.clip(curve.expected + error, 0, 1),
        color=GREY, alpha=0.18, linewidth=0, label="chance",
    )  # fmt: skip
    axes.plot(curve.expected, curve.observed, marker="o", color=BLUE, label=rows)
    axes.set_xlim(0, 1)
    axes.set_ylim(-0.02, 1.02)
    axes.set_ylabel(f"observed share of {plain(positive)}")
    gap = float(np.sum(curve.weight * np.abs(curve.observed - curve.expected)) / total)
    axes.set_title(f"Reliability, ECE {gap:.3f}")
    counts.bar(curve.expected, curve.weight, width=0.05, color=BLUE, alpha=0.7)
    counts.set_ylabel("rows")
    counts.set_xlabel(f"predicted probability of {plain(positive)}")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def confusion_matrix(table: np.ndarray, classes: Sequence[str], *, rows: str = "test rows") -> Figure:
    """Rows of each class (down) by the class that they are taken for (across), `table [K, K]`.

    Colours are shares of a class; numbers stand in the cells of up to 20 classes.
    """
    table = np.asarray(table, dtype=np.float64)
    K = len(classes)
    side = float(np.clip(0.45 * K + 1.8, 4.2, 9.0))
    figure = new_figure(side + 0.6, side)
    axes = figure.subplots()
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)  # [K, K]
    mesh = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    step = -(-K // 20)
    names = [plain(label) for label in classes]
    axes.set_xticks(range(0, K, step), names[::step], rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(0, K, step), names[::step])
    if K <= 20:
        for i, j in np.argwhere(table > 0):
            axes.text(j, i, f"{table[i, j]:.0f}", ha="center", va="center", fontsize=8,
                      color="white" if shares[i, j] > 0.5 else BLACK)  # fmt: skip
    axes.grid(False)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    right = float(np.trace(table) / max(table.sum(), 1.0))
    axes.set_title(f"Classes of {rows}, {100 * right:.1f}% right")
    figure.colorbar(mesh, ax=axes, label="share of the class").outline.set_edgecolor(GREY)
    return figure
