"""Loss curves of one run, or of several on top of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from svgp.diagnostics.plots.style import (
    CYCLE,
    MOST_POINTS,
    column,
    limits,
    new_figure,
    nothing,
    plain,
    styled,
)

Rows = Sequence[Mapping[str, Any]]

# key, title, unit. A column without a single number in any run is left out.
_PANELS = (
    ("elbo_per_row", "ELBO", "nats per row, higher is better"),
    ("objective_per_row", "Predictive objective", "nats per row, higher is better"),  # of bound: ppgpr
    ("expected_log_likelihood_per_row", "Expected log-likelihood", "nats per row"),
    ("kl", "KL divergence", "nats"),
    ("test.rmse", "Test RMSE", "target's units, lower is better"),
    ("test.nlpd", "Test NLPD", "nats per row, lower is better"),
    ("test.accuracy", "Test accuracy", "share of rows"),
)
_CLOCKS = (("epoch", "epochs"), ("wall_s", "training seconds"))


@styled
def loss_curves(runs: Mapping[str, Rows] | Rows) -> Figure:
    """ELBO, expected log-likelihood, KL and test scores against epochs (above) and seconds (below).

    Where training maximises something else than the ELBO (bound: ppgpr), that has a panel as well.
    runs: rows of `metrics.jsonl`, or a name -> rows mapping to overlay several runs. Long runs are
    thinned to 1,000 rows; where minibatches make a curve noisy, a running mean lies over it.
    """
    named = runs if isinstance(runs, Mapping) else {"": runs}
    panels = [
        panel
        for panel in _PANELS
        if any(np.isfinite(_series(rows, panel[0])).any() for rows in named.values())
    ]
    if not panels:
        figure = new_figure(6, 3)
        nothing(figure.subplots())
        return figure
    figure = new_figure(3.3 * len(panels), 5.6)
    grid = np.asarray(figure.subplots(2, len(panels), squeeze=False, sharey="col"))
    for place, (key, title, unit) in enumerate(panels):
        for row, (clock, label) in enumerate(_CLOCKS):
            axes = grid[row, place]
            _draw(axes, named, key, clock)
            axes.set_xlabel(label)
            axes.set_ylabel(unit)
        grid[0, place].set_title(title)
    if any(named):
        handles, names = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=min(len(names), 4))
    return figure


def _series(rows: Rows, key: str) -> np.ndarray:
    if key != "expected_log_likelihood_per_row":
        return column(rows, key)
    elbo, per_row = column(rows, "elbo"), column(rows, "elbo_per_row")
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = elbo / per_row  # N; the log holds both, not N itself
    ratios = ratios[np.isfinite(ratios) & (ratios > 0)]
    number = np.median(ratios) if len(ratios) else np.nan
    return column(rows, "expected_log_likelihood") / number


def _draw(axes: Axes, named: Mapping[str, Rows], key: str, clock: str) -> None:
    shown = []
    for place, (name, rows) in enumerate(named.items()):
        x, y = column(rows, clock), _series(rows, key)
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = x[finite], y[finite]
        colour = CYCLE[place % len(CYCLE)]
        style = ("-", "--", ":", "-.")[place // len(CYCLE) % 4]
        smooth = _running_mean(y)
        kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).astype(int))
        if len(y) > 100 and not key.startswith("test."):
            axes.plot(x[kept], y[kept], color=colour, alpha=0.25, linewidth=0.8)
            y = smooth
        axes.plot(
            x[kept], y[kept], style, color=colour, label=plain(name), marker="o" if len(x) <= 25 else None
        )
        shown.append(_after_the_start(smooth))
    axes.set_ylim(*limits(np.concatenate(shown)))


def _running_mean(y: np.ndarray) -> np.ndarray:
    window = max(1, len(y) // 50)
    total = np.cumsum(np.concatenate([[0.0], y]))
    high = np.minimum(np.arange(len(y)) + window // 2 + 1, len(y))
    low = np.maximum(np.arange(len(y)) - window // 2, 0)
    return (total[high] - total[low]) / np.maximum(high - low, 1)


def _after_the_start(y: np.ndarray) -> np.ndarray:
    """Without the first twentieth of a long curve, whose fall would flatten all the rest."""
    return y[len(y) // 20 :] if len(y) >= 40 else y
