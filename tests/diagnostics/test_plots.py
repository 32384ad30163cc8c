"""Plots: they draw what they are given, without a warning, also from next to nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from svgp.diagnostics import plots
from svgp.diagnostics.plots.inducing import most_relevant
from svgp.diagnostics.plots.style import MOST_POINTS
from svgp.diagnostics.scores import Calibration, regression_calibration, reliability

PNG = b"\x89PNG\r\n\x1a\n"
RNG = np.random.default_rng(0)
HOSTILE = "_price $x_ (\u20ac) \\frac{1}"


def _history(rows: int, **constant: Any) -> list[dict[str, Any]]:
    return [
        {"step": i, "epoch": i / 10, "wall_s": i / 5, "elbo": -500.0 + i, "elbo_per_row": (-500.0 + i) / 100,
         "expected_log_likelihood": -400.0 + i, "kl": 100.0, "jitter": 1e-6, **constant}
        for i in range(rows)
    ]  # fmt: skip


def _diagnosis(epoch: float, **changes: Any) -> dict[str, Any]:
    row = {
        "epoch": epoch, "count": 20, "condition_number": 1e5 * (1 + epoch), "effective_rank": 7.0,
        "redundant": 1, "uninformed": 0, "outside": 0, "residual_mean": 0.1 / (1 + epoch),
        "residual_p95": 0.3,
        "moved_mean": epoch, "moved_max": 2 * epoch, "smallest_distance": 0.1,
        "kl_by_point": [3.0, 1.0], "explained_by_point": [0.5, 0.4],
    }  # fmt: skip
    return row | changes


def _draws(figure: Figure) -> Figure:
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # lays out and measures everything, a fraction of the time of a PNG
    return figure


@pytest.mark.parametrize("rows", [0, 1, 2, 500])
@pytest.mark.parametrize(
    "constant", [{}, {"kl": None}, {"elbo_per_row": float("nan")}, {"elbo_per_row": 3.0}]
)
def test_loss_curves_of_any_length_and_with_gaps(rows: int, constant: dict[str, Any]) -> None:
    _draws(plots.loss_curves(_history(rows, **constant)))


def test_loss_curves_have_a_row_for_epochs_and_one_for_seconds() -> None:
    history = _history(30)
    history[-1] |= {"test.rmse": 0.3, "test.nlpd": 0.2}
    figure = _draws(plots.loss_curves(history))
    assert len(figure.axes) == 10
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["epochs"] * 5 + ["training seconds"] * 5
    titles = [axes.get_title("left") for axes in figure.axes[:5]]
    assert titles == ["ELBO", "Expected log-likelihood", "KL divergence", "Test RMSE", "Test NLPD"]


def test_expected_log_likelihood_is_shown_per_row() -> None:
    figure = plots.loss_curves(_history(10))  # 100 rows: from -4.00 to -3.91 nats each
    line = figure.axes[1].lines[0]
    np.testing.assert_allclose(line.get_ydata(), (-400.0 + np.arange(10)) / 100)


def test_several_runs_overlay_under_their_names() -> None:
    figure = _draws(plots.loss_curves({"adam": _history(30), HOSTILE: _history(5), "empty": []}))
    names = [text.get_text().strip() for text in figure.legends[0].get_texts()]
    assert names[0] == "adam" and names[1].startswith("_price") and len(names) == 3


def test_long_histories_are_thinned() -> None:
    figure = plots.loss_curves(_history(20_000))
    assert max(len(line.get_xdata()) for line in figure.axes[0].lines) <= MOST_POINTS


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [_diagnosis(0.0)],
        [_diagnosis(0.0), _diagnosis(1.0)],
        [
            _diagnosis(
                0.0,
                smallest_distance=None,
                moved_mean=None,
                moved_max=None,
                kl_by_point=[],
                residual_mean=0.0,
            )
        ],
        [{"epoch": 1.0, "advice": ["Kuu holds NaN"]}],
    ],
)
def test_inducing_over_time(rows: list[dict[str, Any]]) -> None:
    assert len(_draws(plots.inducing_over_time(rows)).axes) == 6


@pytest.mark.parametrize("D", [1, 2, 5])
@pytest.mark.parametrize("N", [1, 40, 3000])
@pytest.mark.parametrize("constant", [False, True])
def test_inducing_positions(D: int, N: int, constant: bool) -> None:
    X = np.ones((N, D)) if constant else RNG.normal(size=(N, D))
    Z = X[:3]
    names = [HOSTILE] * D
    _draws(plots.inducing_positions(X, Z))
    _draws(
        plots.inducing_positions(
            X, Z, Z + 0.1, y=X[:, 0], lengthscales=np.ones(D), names=names, target=HOSTILE
        )
    )


def test_the_two_most_relevant_inputs_are_chosen_by_lengthscale() -> None:
    X = RNG.normal(size=(500, 4)) * np.array([1.0, 1.0, 1.0, 9.0])
    assert most_relevant(X, np.array([5.0, 0.1, np.inf, 2.0])) == (1, 3)
    assert most_relevant(X, None)[1] == 3
    assert most_relevant(1e200 * X, 1e200 * np.array([5.0, 0.1, np.inf, 2.0])) == (1, 3)
    assert most_relevant(1e200 * X, None)[1] == 3


@pytest.mark.parametrize(
    "lengthscales", [[1.0, np.inf, 0.2], [[1.0, 2.0, 0.2], [0.1, np.inf, 3.0]], [np.inf] * 3]
)
def test_ard_relevance_puts_the_shortest_lengthscale_first(lengthscales: list) -> None:
    figure = _draws(plots.ard_relevance(np.array(lengthscales), ["a", "b", "c"]))
    widths = [bar.get_width() for bar in figure.axes[0].patches]
    assert widths == sorted(widths, reverse=True)


def test_ard_relevance_says_in_words_what_a_number_would_not() -> None:
    figure = _draws(plots.ard_relevance(np.array([0.83, 1234.5, np.inf]), ["a", "b", "c"]))
    words = [text.get_text().strip() for text in figure.axes[0].texts]
    assert words == ["0.83", "very long", "ignored"]


def test_ard_relevance_shows_the_effect_on_the_predictions_where_it_is_known() -> None:
    """A trend has a long lengthscale, and is the larger half of the predictions all the same."""
    names, effects = ["a", "b", "c"], {"a": 0.4, "b": 0.9, "c": 1e-5}
    axes = _draws(plots.ard_relevance(np.array([1.5, 40.0, 3.0]), names, relevance=effects)).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.4, 1e-5]
    assert [text.get_text().strip() for text in axes.texts] == ["40", "1.5", "no effect"]
    assert "effect on the predictions" in axes.get_xlabel()
    axes = _draws(plots.ard_relevance(np.array([1.5, 40.0, 3.0]), names, relevance={"a": 1.0})).axes[0]
    assert "1 / lengthscale" in axes.get_xlabel()


@pytest.mark.parametrize("N", [1, 50, 2500])
@pytest.mark.parametrize("constant", [False, True])
def test_fits(N: int, constant: bool) -> None:
    x = np.zeros(N) if constant else RNG.normal(size=N)
    grid = x if N == 1 else np.linspace(x.min(), x.max(), 30)
    flat = np.zeros(len(grid))
    _draws(
        plots.fit_1d(x, x, grid, flat, flat - 1, flat + 1, Z=x[:2, None], input_name=HOSTILE, target=HOSTILE)
    )
    _draws(plots.fit_1d(x[:, None], x[:, None], grid, flat, flat, flat, x_test=x[:1], y_test=x[:1]))
    _draws(plots.counts_fit(x, np.abs(x).round(), grid, flat + 1, flat, flat + 3))


@pytest.mark.parametrize("count", [1, 4])
def test_partial_dependence(count: int) -> None:
    grid = np.linspace(-1, 1, 9)
    curves = np.outer(np.ones(6), grid) + RNG.normal(size=(6, 1))
    found = [plots.Dependence(HOSTILE, grid, curves, RNG.normal(size=40)) for _ in range(count)]
    axes = _draws(plots.partial_dependence(found, target=HOSTILE)).axes
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), curves.mean(axis=0))
    assert sum(panel.axison for panel in axes) == count


@pytest.mark.parametrize("probability", [0.2, 0.5, None])
def test_probability_surface(probability: float | None) -> None:
    grid = np.linspace(-1, 1, 12)
    surface = np.add.outer(grid, grid) / 4 + 0.5 if probability is None else np.full((12, 12), probability)
    X = RNG.uniform(-1, 1, size=(50, 2))
    for labels in (np.zeros(50), (X[:, 0] > 0).astype(float)):
        _draws(
            plots.probability_surface(
                grid, grid, surface, X, labels, Z=X[:4], names=[HOSTILE, "b"], classes=[HOSTILE, "no"]
            )
        )


@pytest.mark.parametrize("N", [0, 1, 50, 2500])
@pytest.mark.parametrize("constant", [False, True])
def test_predictions(N: int, constant: bool) -> None:
    y = np.ones(N) if constant else RNG.normal(size=N)
    std = np.full(N, 0.5)
    _draws(plots.predicted_vs_actual(y, 1.1 * y, std, target=HOSTILE))
    _draws(plots.predicted_vs_actual(y, y))
    _draws(plots.residuals_vs_std(y, 1.1 * y, std, target=HOSTILE))
    if N:
        _draws(plots.calibration_regression(regression_calibration(y, y, std)))
        labels = np.zeros(N) if constant else (y > 0).astype(float)
        _draws(plots.calibration_classification(reliability(labels, np.full(N, 0.3)), positive=HOSTILE))


def test_calibration_without_rows() -> None:
    nothing = Calibration(np.empty(0), np.empty(0), np.empty(0))
    _draws(plots.calibration_regression(nothing))
    _draws(plots.calibration_classification(nothing))


def test_names_in_scripts_without_a_glyph_do_not_warn() -> None:
    assert plots.to_png(plots.ard_relevance(np.ones(2), ["\u6e29\u5ea6", "\U0001f600"])).startswith(PNG)


def test_the_callers_matplotlib_settings_are_left_alone() -> None:
    before = dict(matplotlib.rcParams)
    plots.to_png(plots.loss_curves(_history(5)))
    assert dict(matplotlib.rcParams) == before


def test_save_all_writes_one_png_a_figure(tmp_path: Path) -> None:
    figures = {"a": plots.loss_curves(_history(5)), "b": plots.inducing_over_time([])}
    paths = plots.save_all(figures, tmp_path / "plots")
    assert [path.name for path in paths] == ["a.png", "b.png"]
    assert all(path.read_bytes().startswith(PNG) for path in paths)
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == ["a.png", "b.png"]


def test_a_surface_over_constant_inputs() -> None:
    grid = np.zeros(12)
    surface = np.linspace(0.1, 0.9, 144).reshape(12, 12)
    _draws(plots.probability_surface(grid, grid, surface, np.zeros((5, 2)), np.zeros(5)))
