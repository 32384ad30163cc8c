"""Which inputs matter, as bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from svgp.diagnostics.plots.style import BLUE, ORANGE, new_figure, plain, styled

LONG = 100.0  # standard deviations: how much longer a lengthscale is says nothing more
NO_EFFECT = 1e-3  # of the spread of the predictions


@styled
def ard_relevance(
    lengthscales: np.ndarray,
    names: Sequence[str],
    *,
    relevance: Mapping[str, float] | None = None,
    most: int = 30,
) -> Figure:
    """Bars of the effect of each input on the predictions, the largest first, lengthscales beside them.

    relevance: 0 for no effect, about 1 for an input alone (`svgp.runs.findings.relevance`). None, or inputs
    missing from it: the bars are `1 / lengthscale`, which a large variance can make look like no effect.
    lengthscales: of standardised inputs, `[D]` or `[L, D]` for L latent GPs: the shortest counts, and where
    the bars are theirs a dot stands for each GP; inf for an input that the kernel ignores.
    most: inputs that are drawn.
    """
    scales = np.asarray(lengthscales, dtype=np.float64).reshape(-1, len(names))  # [L, D]
    known = relevance is not None and all(name in relevance for name in names)
    bars = np.array([[relevance[name] for name in names]]) if relevance and known else 1.0 / scales  # [L, D]
    order = np.argsort(-bars.max(axis=0), kind="stable")[:most]
    place = np.arange(len(order))
    figure = new_figure(6.4, 1.3 + 0.26 * len(order))
    axes = figure.subplots()
    drawn = axes.barh(place, bars.max(axis=0)[order], color=BLUE, height=0.7)
    shortest = scales.min(axis=0)
    words = [" no effect" if known and bars[0, j] < NO_EFFECT else f" {in_words(shortest[j])}" for j in order]
    axes.bar_label(drawn, words, color="#555555", fontsize=8)
    if len(bars) > 1:
        for row in bars:
            axes.plot(row[order], place, "o", color=ORANGE, markersize=3)
    axes.set_yticks(place, [plain(names[j]) for j in order])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set_xlim(0, (float(bars.max()) or 1.0) * 1.2)
    what = "effect on the predictions: 0 none, 1 alone" if known else "1 / lengthscale, scaled inputs"
    axes.set_xlabel(f"{what} (beside each bar: lengthscale)")
    rest = len(names) - len(order)
    axes.set_title("Relevance of the inputs" + (f" (first {len(order)} of {len(names)})" if rest else ""))
    return figure


def in_words(lengthscale: float) -> str:
    """A lengthscale of a standardised input: two digits, where they say something."""
    if not np.isfinite(lengthscale):
        return "ignored"
    if lengthscale >= LONG:
        return "very long"
    return f"{lengthscale:.2g}"
