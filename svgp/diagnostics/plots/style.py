"""One look for all plots, and the small things every plot needs. Nothing here touches pyplot."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito (2008): told apart by people with any of the common colour-vision deficiencies.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
ORANGE, SKY, GREY, BLACK = "#E69F00", "#56B4E9", "#8A8A8A", "#1A1A1A"
CYCLE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, GREY, BLACK)

MOST_POINTS = 1000  # drawn of a scatter or a line: more is ink, not information
LONGEST_NAME = 32

STYLE: Mapping[str, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#333333",
    "axes.edgecolor": "#777777",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=CYCLE),
    "axes.formatter.useoffset": False,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.dpi": 120,
    "savefig.dpi": 120,
}

Drawn = TypeVar("Drawn", bound=Callable[..., Any])


def styled(draw: Drawn) -> Drawn:
    """Run a plotting function under `STYLE`, leaving the caller's matplotlib settings as they are."""

    @functools.wraps(draw)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with matplotlib.rc_context(dict(STYLE)):
            return draw(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches."""
    return Figure(figsize=(width, height), layout="constrained")


def plain(text: object) -> str:
    """A user's name as a label: one line, not too long, and no `$` that would be read as mathematics."""
    line = " ".join(str(text).split())
    if len(line) > LONGEST_NAME:
        line = line[: LONGEST_NAME - 1] + "\u2026"
    # matplotlib leaves labels that begin with an underscore out of legends.
    return (" " if line.startswith("_") else "") + line.replace("$", r"\$")


def vector(values: Any) -> np.ndarray:
    """A flat float array; None becomes NaN."""
    if values is None:
        return np.empty(0)
    return np.asarray(values, dtype=np.float64).ravel()


def column(rows: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    """`key` of every row, NaN where missing or null; a dotted key also finds `{"test": {"rmse": ..}}`."""
    return np.array([_value(row, key) for row in rows], dtype=np.float64)


def thin(*arrays: np.ndarray, most: int = MOST_POINTS, seed: int = 0) -> tuple[np.ndarray, ...]:
    """At most `most` entries, the same ones of each array, drawn at random in their old order."""
    if len(arrays[0]) <= most:
        return arrays
    kept = np.sort(np.random.default_rng(seed).choice(len(arrays[0]), size=most, replace=False))
    return tuple(array[kept] for array in arrays)


def limits(values: np.ndarray, pad: float = 0.05) -> tuple[float, float]:
    """Axis limits around the finite values, of nonzero width even when all are equal or there are none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    margin = pad * (high - low) if high > low else 0.1 * max(abs(high), 1.0)
    return low - margin, high + margin


def nothing(axes: Axes, text: str = "nothing logged yet") -> None:
    """Say that a panel is empty instead of drawing an empty frame."""
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GREY, transform=axes.transAxes)


def _value(row: Mapping[str, Any], key: str) -> float:
    found: Any = row.get(key)
    if found is None and "." in key:
        outer, inner = key.split(".", 1)
        nested = row.get(outer)
        found = nested.get(inner) if isinstance(nested, Mapping) else None
    return float("nan") if found is None else float(found)
