"""Rendering a run to HTML: jinja2 with autoescaping, pictures inline, nothing fetched from anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from matplotlib.figure import Figure

from svgp import files
from svgp.diagnostics.plots import to_png
from svgp.report.numbers import (
    Number,
    comparison,
    flatten,
    foretold,
    headline,
    inducing_numbers,
    table,
    value_text,
)

# Headings of the figures that a run makes; another name is shown with its underscores as spaces.
HEADINGS = {
    "loss_curves": "Loss curves",
    "fit": "Fit",
    "probability_surface": "Probability surface",
    "predicted_vs_actual": "Predicted against actual",
    "residuals_vs_std": "Residuals against predicted standard deviation",
    "calibration": "Calibration",
    "inducing": "Inducing points over time",
    "inducing_over_time": "Inducing points over time",
    "inducing_positions": "Where the inducing points lie",
    "ard_relevance": "Relevance of the inputs",
    "output_correlations": "Correlation between targets",
    "partial_dependence": "Predicted mean by input",
}


class Picture(NamedTuple):
    """One figure of the page: heading and the `data:` address of its PNG."""

    heading: str
    address: str


def write_report(
    path: str | Path,
    *,
    config_yaml: str,
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    inducing_history: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
    figures: Mapping[str, Figure | bytes],
    hyperparameters: Iterable[Sequence[Any]] = (),
    notes: Iterable[str] = (),
    title: str = "run",
) -> Path:
    """Write `render_report(...)` to `path` atomically and return it. Raises RunError."""
    page = render_report(
        config_yaml=config_yaml,
        metrics=metrics,
        history=history,
        inducing_history=inducing_history,
        environment=environment,
        figures=figures,
        hyperparameters=hyperparameters,
        notes=notes,
        title=title,
    )
    files.write_text(path, page)
    return Path(path)


def render_report(
    *,
    config_yaml: str,
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    inducing_history: Sequence[Mapping[str, Any]],
    environment: Mapping[str, Any],
    figures: Mapping[str, Figure | bytes],
    hyperparameters: Iterable[Sequence[Any]] = (),
    notes: Iterable[str] = (),
    title: str = "run",
) -> str:
    """The page as text: advice, headline numbers, pictures, diagnostics, notes, config, environment.

    metrics: `metrics.json`, nested or with dotted keys. history, inducing_history: rows of
    `metrics.jsonl` and `inducing.jsonl`. figures: name -> Figure or the bytes of a PNG. hyperparameters:
    (role, name, input, value, value in original units or None). Every part may be empty. Text is escaped,
    wherever it comes from.
    """
    last = inducing_history[-1] if inducing_history else {}
    return _template().render(
        title=title,
        advice=list(last.get("advice") or []),
        headline=headline(metrics, history),
        comparison=comparison(metrics),
        foretold=foretold(metrics),
        pictures=[_picture(name, figure) for name, figure in figures.items()],
        inducing=inducing_numbers(last),
        hyperparameters=[list(map(value_text, row)) for row in hyperparameters],
        evaluations=table([row for row in history if _evaluated(row)]),
        metrics=_numbers(metrics),
        notes=list(notes),
        config_yaml=config_yaml,
        environment=_numbers(environment),
    )


@cache
def _template() -> jinja2.Template:
    """The page's, compiled once: that takes longer than to fill it in."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("svgp.report").joinpath("template.html").read_text(encoding="utf-8")
    return environment.from_string(source)


def _picture(name: str, figure: Figure | bytes) -> Picture:
    png = figure if isinstance(figure, bytes) else to_png(figure)
    heading = HEADINGS.get(name, name.replace("_", " ").capitalize())
    return Picture(heading, "data:image/png;base64," + base64.b64encode(png).decode("ascii"))


def _numbers(values: Mapping[str, Any]) -> list[Number]:
    return [Number(key, value_text(value)) for key, value in flatten(values).items()]


def _evaluated(row: Mapping[str, Any]) -> bool:
    return any(key.startswith("test.") and value is not None for key, value in flatten(row).items())
