"""The figures of a run, in original units: what it logged, its inducing points, its predictions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from svgp.diagnostics import plots, scores
from svgp.errors import RunError
from svgp.runs import dependence

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from svgp.runs.run import Run

_GRID = 300  # points of a curve
_SURFACE = 120  # points along a side of a surface
_MOST_TARGETS = 4
_LEVELS = tuple(k / 20 for k in range(1, 20))  # of the calibration curve


def figures(run: Run) -> dict[str, Figure]:
    """Every figure that suits the run's task and number of inputs, by file name without suffix."""
    kind, inputs = run.columns.kind, len(run.columns.input_names)
    classes = len(run.columns.classes or [])
    drawn: dict[str, Figure] = {
        "loss_curves": loss_curves(run),
        "inducing_over_time": inducing_over_time(run),
        "inducing_positions": inducing_positions(run),
    }
    if inputs > 1:
        drawn["ard_relevance"] = ard_relevance(run)
        if classes <= 2:
            drawn |= _for_each_target(run, "partial_dependence", partial_dependence)
    if run.model.outputs.mixes and run.model.num_functions == len(run.columns.target_names):
        drawn["output_correlations"] = output_correlations(run)
    if inputs == 1 and not kind.labels:
        drawn["fit"] = fit(run)
    if inputs == 2 and classes == 2:
        drawn["probability_surface"] = probability_surface(run)
    if kind.continuous:
        for name, draw in (
            ("predicted_vs_actual", predicted_vs_actual),
            ("residuals_vs_std", residuals_vs_std),
        ):
            drawn |= _for_each_target(run, name, draw)
    if classes > 2:
        drawn["confusion"] = confusion(run)
    if kind.labels or kind.continuous:
        drawn["calibration"] = calibration(run)
    return drawn


def loss_curves(run: Run) -> Figure:
    """ELBO, its parts and test metrics over epochs and seconds."""
    return plots.loss_curves(run.history())


def inducing_over_time(run: Run) -> Figure:
    """The inducing-point diagnostics over epochs."""
    return plots.inducing_over_time([row for row in run.inducing_history() if "count" in row])


def inducing_positions(run: Run) -> Figure:
    """Where the inducing points lie over the training rows, in original units. Needs the data."""
    columns, dataset = run.columns, run.dataset
    lengthscales = np.min(run.lengthscales(), axis=0) * columns.input_scale  # [D]
    start = run.inducing_start()
    return plots.inducing_positions(
        run.unscale_inputs(dataset.X),
        run.unscale_inputs(run.inducing_inputs()),
        None if start is None else run.unscale_inputs(start),
        y=columns.unscale_mean(dataset.Y)[:, 0] if len(columns.input_names) == 1 else None,
        lengthscales=lengthscales,
        names=columns.input_names,
        target=columns.target_names[0],
    )


def ard_relevance(run: Run) -> Figure:
    """The effect of each input on the predictions and its lengthscale (all that an unfinished run has)."""
    names, known = run.columns.input_names, run.metrics.get("relevance")
    return plots.ard_relevance(run.lengthscales(), names, relevance=known)


def fit(run: Run) -> Figure:
    """The predictive mean and its 95% band over the one input. Needs the data."""
    columns, dataset = run.columns, run.dataset
    _require(
        len(columns.input_names) == 1 and not columns.kind.labels, "fit", "one input and a numeric target"
    )
    low, high = dataset.X.min(), dataset.X.max()
    margin = 0.1 * (high - low)
    grid = np.linspace(low - margin, high + margin, _GRID)[:, None]  # [G, 1]
    said = run.predict_scaled(grid)
    assert said.quantiles is not None
    quantiles = said.quantiles.reshape(_GRID, -1, len(said.levels))[:, 0]  # [G, Q]
    shown: dict[str, Any] = {
        "Z": run.unscale_inputs(run.inducing_inputs())[:, 0],
        "input_name": columns.input_names[0],
        "target": columns.target_names[0],
    }
    x, y = run.unscale_inputs(dataset.X)[:, 0], columns.unscale_mean(dataset.Y)[:, 0]
    curve = (
        run.unscale_inputs(grid)[:, 0],
        said.mean.reshape(_GRID, -1)[:, 0],
        quantiles[:, 0],
        quantiles[:, -1],
    )
    if not columns.kind.continuous:
        return plots.counts_fit(x, y, *curve, **shown)
    if dataset.X_test is not None and dataset.Y_test is not None:
        shown["x_test"] = run.unscale_inputs(dataset.X_test)[:, 0]
        shown["y_test"] = columns.unscale_mean(dataset.Y_test)[:, 0]
    return plots.fit_1d(x, y, *curve, **shown)


def probability_surface(run: Run) -> Figure:
    """The probability of the positive class over the two inputs. Needs the data."""
    columns, dataset = run.columns, run.dataset
    _require(
        len(columns.input_names) == 2 and len(columns.classes or []) == 2,
        "probability_surface",
        "two inputs and two classes",
    )
    low, high = dataset.X.min(axis=0), dataset.X.max(axis=0)
    margin = 0.08 * (high - low)
    axes = np.linspace(low - margin, high + margin, _SURFACE)  # [G, 2]
    mesh = np.stack(np.meshgrid(axes[:, 0], axes[:, 1]), axis=-1)  # [G, G, 2]
    said = run.predict_scaled(mesh.reshape(-1, 2))
    assert said.probability is not None and columns.classes is not None
    original = run.unscale_inputs(axes)
    return plots.probability_surface(
        original[:, 0],
        original[:, 1],
        said.probability.reshape(_SURFACE, _SURFACE),
        run.unscale_inputs(dataset.X),
        dataset.Y[:, 0],
        Z=run.unscale_inputs(run.inducing_inputs()),
        names=columns.input_names,
        classes=[str(label) for label in columns.classes],
    )


def output_correlations(run: Run) -> Figure:
    """How the functions of several targets go together, by the prior that training found."""
    _require(run.model.outputs.mixes, "output_correlations", "outputs of type lmc or icm")
    return plots.output_correlations(run.output_correlations(), run.columns.target_names)


def partial_dependence(run: Run, target: int = 0) -> Figure:
    """How the predicted mean goes with each of the most relevant inputs. Needs the data."""
    name = run.columns.target_names[target]
    if run.columns.classes is not None and len(run.columns.classes) == 2:
        name = f"probability of {run.columns.classes[1]}"
    return plots.partial_dependence(dependence.partial_dependence(run, target), target=name)


def predicted_vs_actual(run: Run, target: int = 0) -> Figure:
    """Predicted mean against actual value of the test rows (else training rows). Needs the data."""
    actual, mean, std, name = _moments(run, target)
    return plots.predicted_vs_actual(actual, mean, std, target=name)


def residuals_vs_std(run: Run, target: int = 0) -> Figure:
    """Residual against predicted standard deviation of the same rows. Needs the data."""
    actual, mean, std, name = _moments(run, target)
    return plots.residuals_vs_std(actual, mean, std, target=name)


def calibration(run: Run) -> Figure:
    """Whether probabilities, or central intervals, mean what they say. Needs the data."""
    columns = run.columns
    _require(
        columns.kind.labels or columns.kind.continuous, "calibration", "classes or numbers with a density"
    )
    rows = "test rows" if run.dataset.X_test is not None else "training rows"
    said, Y = run.predict_held_out(scores.quantile_levels(_LEVELS))
    if said.quantiles is not None:
        quantiles = said.quantiles.reshape(*Y.shape, -1)  # [N, P, 2 K]
        curve = scores.quantile_calibration(columns.unscale_mean(Y), quantiles, _LEVELS)
        return plots.calibration_regression(curve, rows=rows)
    if said.probabilities is not None:
        curve = scores.class_reliability(Y[:, 0], said.probabilities)
        return plots.calibration_classification(curve, positive="the most probable class", rows=rows)
    assert said.probability is not None and columns.classes is not None
    curve = scores.reliability(Y[:, 0], said.probability)
    return plots.calibration_classification(curve, positive=str(columns.classes[1]), rows=rows)


def confusion(run: Run) -> Figure:
    """Which classes are taken for which. Needs the data and more than two classes."""
    columns = run.columns
    _require(len(columns.classes or []) > 2, "confusion", "more than two classes")
    rows = "test rows" if run.dataset.X_test is not None else "training rows"
    said, Y = run.predict_held_out()
    assert said.probabilities is not None and columns.classes is not None
    table = scores.confusion(Y[:, 0], said.probabilities)
    return plots.confusion_matrix(table, [str(label) for label in columns.classes], rows=rows)


def _moments(run: Run, target: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    columns = run.columns
    _require(columns.kind.continuous, "this plot", "a target of numbers that are no counts")
    said, Y = run.predict_held_out()
    targets = len(columns.target_names)
    mean, std = said.mean.reshape(-1, targets), said.std.reshape(-1, targets)
    actual = columns.unscale_mean(Y)
    return actual[:, target], mean[:, target], std[:, target], columns.target_names[target]


def _for_each_target(run: Run, name: str, draw: Callable[[Run, int], Figure]) -> dict[str, Figure]:
    targets = run.columns.target_names[:_MOST_TARGETS]
    suffixes = [""] if len(targets) == 1 else [f"_{place + 1}" for place in range(len(targets))]
    return {f"{name}{suffix}": draw(run, place) for place, suffix in enumerate(suffixes)}


def _require(suits: bool, plot: str, needed: str) -> None:
    if not suits:
        raise RunError(f"{plot}: needs a run with {needed}")
