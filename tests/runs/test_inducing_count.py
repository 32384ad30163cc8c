"""`model.inducing.count: auto`: the curve is the exact one, the choice repeats, and follows need and time."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import svgp
from svgp import files
from svgp.config import Config
from svgp.config.train import TrainConfig
from svgp.inducing import greedy_variance
from svgp.kernels import Matern32
from svgp.runs import inducing_count
from svgp.runs.decisions import fit_operations
from svgp.runs.inducing_count import GRID, residual_curve


def test_the_curve_is_the_residual_of_each_number_of_points():
    generator = np.random.default_rng(0)
    X, judges = generator.uniform(-1, 1, (80, 2)), generator.uniform(-1, 1, (30, 2))
    kernel = Matern32(2.0, [0.5, 0.8])
    shares, price = residual_curve(X, judges, kernel, 0.3)
    Z, _ = greedy_variance(X, 80, kernel)
    for m in (1, 7, 40):
        Kuu = kernel.K(Z[:m]).numpy() + 2e-6 * np.eye(m)
        Kuf = kernel.K(Z[:m], judges).numpy()
        d = 2.0 - np.sum(Kuf * np.linalg.solve(Kuu, Kuf), axis=0)
        assert shares[m - 1] == pytest.approx(d.mean() / 2.0, rel=1e-8)
        assert price[m - 1] == pytest.approx(0.5 * np.log1p(d / 0.3).mean(), rel=1e-8)
    assert np.all(np.diff(price) <= 0) and np.all(np.diff(shares) <= 0)


def choice(
    monkeypatch, lengthscale, *, inputs=2, rows=3000, latents=1, collapsed=True, second=False, **train
):
    """What is weighed with a known kernel in place of the pilot's."""
    kernel = Matern32(1.0, np.full(inputs, lengthscale))
    monkeypatch.setattr(inducing_count, "_pilot", lambda *_: (kernel, 0.05, latents, collapsed))
    monkeypatch.setattr(inducing_count, "CURVE_ROWS", 400)
    X = np.random.default_rng(1).uniform(-1, 1, (rows, inputs))
    config = SimpleNamespace(train=TrainConfig(**train))
    dataset = SimpleNamespace(X=X, rows=SimpleNamespace(count=rows))
    return inducing_count.weigh(config, dataset, 512 if second else GRID[-1], second=second)


def test_a_wigglier_function_gets_more_points_and_a_shorter_run_fewer(monkeypatch):
    smooth, rough = choice(monkeypatch, 3.0), choice(monkeypatch, 0.3)
    assert smooth["count"] < 64 < rough["count"] and smooth["count"] in GRID
    assert "inducing points: twice as many would gain about" in smooth["sentence"]
    assert choice(monkeypatch, 0.3) == rough
    ten = choice(monkeypatch, 0.3, latents=10, max_seconds=0.2)  # as of ten classes
    assert ten == choice(monkeypatch, 0.3, latents=10, max_seconds=0.2)
    assert ten["count"] < choice(monkeypatch, 0.3, max_seconds=0.2)["count"]
    hurried = choice(monkeypatch, 0.3, max_seconds=0.02)
    assert hurried["count"] < rough["count"] and "train.max_seconds allows" in hurried["sentence"]
    batches = choice(monkeypatch, 0.3, collapsed=False, max_seconds=20.0)
    assert batches["count"] < choice(monkeypatch, 0.3, max_seconds=20.0)["count"]
    chosen = next(row for row in rough["weighed"] if row["points"] == rough["count"])
    assert chosen["operations"] == fit_operations(TrainConfig(), rough["count"], 3000)


def test_where_neighbours_are_seen_points_of_many_inputs_ask_for_more_time(monkeypatch):
    """Z has a coordinate for each input, also where only two of twelve matter."""

    def count(inputs, **train):
        lengthscales = np.array([0.1, 0.1, *(inputs - 2) * [1e3]])
        return choice(monkeypatch, lengthscales, inputs=inputs, second=True, **train)["count"]

    assert count(2, max_seconds=6.0) > count(12, max_seconds=6.0)
    assert count(2) == count(12) == 512


def test_a_curve_that_is_flat_at_first_is_followed_to_where_it_falls():
    """What eight points see of a field with a hundred hills is nothing, and sixteen see no more."""
    prices = dict(
        zip((8, 16, 32, 64, 128, 256, 512), (0.17, 0.165, 0.155, 0.13, 0.09, 0.05, 0.045), strict=True)
    )
    weighed = [{"points": m, "nats_a_row": p, "operations": float(m)} for m, p in prices.items()]
    assert inducing_count._taken(weighed, None, TrainConfig(), 1e9)[0] == 256
    flat = [{**row, "nats_a_row": 0.17 - 0.001 * k} for k, row in enumerate(weighed)]
    assert inducing_count._taken(flat, None, TrainConfig(), 1e9)[0] == 8


def test_where_predictions_see_neighbours_fewer_points_are_ever_taken(make_config, monkeypatch):
    asked = []
    monkeypatch.setattr(inducing_count, "weigh", lambda *given, **_: asked.append(given[-1]) or {"count": 8})
    tree = make_config().to_dict()
    tree["model"]["inducing"]["count"] = "auto"
    for count, method, in_memory in (
        ("auto", "auto", True),
        (0, "auto", True),
        (32, "adam", True),
        (32, "auto", False),
    ):
        tree["model"]["neighbours"]["count"], tree["train"]["method"] = count, method
        for rows in (5000, 400, 10):
            columns = SimpleNamespace(target_names=["y"])
            dataset = SimpleNamespace(rows=SimpleNamespace(in_memory=in_memory, count=rows), columns=columns)
            inducing_count.with_count(Config.from_dict(tree), dataset)
    assert asked == [512, 100, GRID[0], *(9 * [GRID[-1]])]


def test_a_run_notes_its_number_and_resumes_with_it(make_config, tmp_path, no_plots, monkeypatch):
    tree = make_config("count", max_steps=2, max_epochs=None).to_dict()
    tree["model"]["inducing"]["count"] = "auto"
    run = svgp.train(Config.from_dict(tree), run_dir=tmp_path / "run")
    weighed = files.read_json(run.path / "inducing_choice.json")
    assert weighed["count"] == run.config.model.inducing.count and run.metrics["inducing"] <= weighed["count"]
    assert weighed["sentence"] in files.read_json(run.path / "environment.json")["notes"]
    monkeypatch.setattr(inducing_count, "weigh", None)  # not again
    tree["train"]["max_steps"] = 3
    again = svgp.train(Config.from_dict(tree), resume=run.path)
    assert again.metrics["steps"] == 3 and again.metrics["inducing"] == run.metrics["inducing"]
