"""Every plot of a run, and how figures become files.

A plot takes plain arrays or logged rows and returns a `matplotlib.figure.Figure`; pyplot and its
global state are never used, so any thread of a server or a notebook can draw.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from svgp import files
from svgp.diagnostics.plots.correlations import output_correlations
from svgp.diagnostics.plots.curves import loss_curves
from svgp.diagnostics.plots.dependence import Dependence, partial_dependence
from svgp.diagnostics.plots.fits import counts_fit, fit_1d, probability_surface
from svgp.diagnostics.plots.inducing import inducing_over_time, inducing_positions
from svgp.diagnostics.plots.relevance import ard_relevance
from svgp.diagnostics.plots.scores import (
    calibration_classification,
    calibration_regression,
    confusion_matrix,
    predicted_vs_actual,
    residuals_vs_std,
)
from svgp.diagnostics.plots.style import styled

__all__ = [
    "Dependence",
    "ard_relevance",
    "calibration_classification",
    "calibration_regression",
    "confusion_matrix",
    "counts_fit",
    "fit_1d",
    "inducing_over_time",
    "inducing_positions",
    "loss_curves",
    "output_correlations",
    "partial_dependence",
    "predicted_vs_actual",
    "probability_surface",
    "residuals_vs_std",
    "save_all",
    "to_png",
]


@styled
def to_png(figure: Figure) -> bytes:
    """The figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A column named in a script that the font lacks shows boxes; that is no reason to warn.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="png")
    return buffer.getvalue()


def save_all(figures: Mapping[str, Figure], directory: str | Path) -> list[Path]:
    """Write each figure to `directory/NAME.png`, each file atomically. Raises RunError."""
    paths = []
    for name, figure in figures.items():
        path = Path(directory) / f"{name}.png"
        files.write_bytes(path, to_png(figure))
        paths.append(path)
    return paths
