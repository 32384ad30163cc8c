"""Every type of kernel from its section: start values, limits, gradient of the bound, saved and loaded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from svgp.config import KERNELS, ModelConfig
from svgp.models import build_model, load_model, save_model
from svgp.models.collapsed.bound import CollapsedBound
from svgp.models.predictive import SparseRows
from svgp.training.lbfgs.box import box

NAMES = ["x", "t", "colour=a", "colour=b", "colour=c"]
SETTINGS: dict[str, dict[str, Any]] = {
    "categorical": {"inputs": ["colour"]},
    "hamming": {"inputs": ["colour"]},
    "change_points": {"kernels": ["matern32", "linear"], "switch": "t"},
    "grouped": {"groups": [["x", "t"], ["colour"]]},
    "deep": {"layers": [4, 2]},
    "brownian": {"inputs": ["t"]},
    "integrated_brownian": {"inputs": ["t"]},
    "periodic": {"inputs": ["t"]},
    "sum": {"sum": ["periodic(inputs=[t]) * categorical(inputs=[colour])", {"additive": {"order": 2}}]},
    "product": {"product": ["matern52(inputs=[x])", "categorical(inputs=[colour], rank=1)"]},
}
NOT_A_DISTANCE = {"polynomial", "arc_cosine", "neural_network", "brownian", "integrated_brownian",
                  "change_points"}  # fmt: skip


class Columns(SimpleNamespace):
    def to_dict(self) -> dict[str, Any]:
        return {}


COLUMNS = Columns(input_names=NAMES, input_mean=np.zeros(5), input_scale=np.ones(5))


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=(70, 2)), np.eye(3)[rng.integers(0, 3, 70)]])
    y = np.sin(2 * np.pi * X[:, 1] / 0.7) + X[:, 2] + 0.1 * rng.normal(size=70)
    return X, ((y - y.mean()) / y.std())[:, None]


ELSEWHERE = {"squared_exponential", "matern12", "matern32", "matern52", "linear", "constant", "white"}


@pytest.mark.parametrize("kind", sorted(set(KERNELS) - ELSEWHERE))
def test_it_starts_trains_and_is_kept(kind: str, tmp_path: Any) -> None:
    X, Y = data()
    section = {"type": kind, **SETTINGS.get(kind, {})} if kind not in ("sum", "product") else SETTINGS[kind]
    config = ModelConfig.model_validate({"kernel": section, "inducing": {"count": 6}})
    assert ModelConfig.model_validate(config.model_dump(mode="json")) == config
    model, _ = build_model(config, X, Y, columns=COLUMNS)
    prior = float(np.mean(model.kernel.K_diag(X)))
    low, high = (0.2, 5.0) if kind in NOT_A_DISTANCE else (0.9, 1.1)
    assert low < prior < high
    bound = CollapsedBound(model, X, Y)
    before = bound.evaluate()
    limits = box(model, bound.variables, X, Y)
    start = np.concatenate([v.numpy().ravel() for v in bound.variables])
    assert np.all(limits[:, 0] <= start) and np.all(start <= limits[:, 1])
    slope = sum(float(np.sum(g * g)) for g in before.gradients)
    step = 1e-6 / np.sqrt(slope)
    for variable, gradient in zip(bound.variables, before.gradients, strict=True):
        variable.assign_add(step * gradient)
    gain = bound.evaluate().bound - before.bound
    np.testing.assert_allclose(gain, step * slope, rtol=2e-2, atol=1e-9)  # the gradient is that of the bound
    sparse = SparseRows(model).parts(X[:9])  # what predictions come from, in NumPy where the kernel has that
    mean, variance = model.predict_f(X[:9])
    np.testing.assert_allclose(sparse.mean, mean, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(sparse.variance, variance, rtol=1e-6, atol=1e-7)
    save_model(tmp_path / "model", model, config, columns=COLUMNS, precision="float64")
    again, _ = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.kernel.K(X[:5], X), model.kernel.K(X[:5], X))


@pytest.mark.parametrize("kind", sorted(KERNELS))
def test_sets_of_points_are_each_as_alone(kind: str) -> None:
    """Of latents with inducing points of their own, Z [L, M, D]."""
    X, Y = data()
    section = {"type": kind, **SETTINGS.get(kind, {})} if kind not in ("sum", "product") else SETTINGS[kind]
    config = ModelConfig.model_validate({"kernel": section, "inducing": {"count": 6}})
    kernel = build_model(config, X, Y, columns=COLUMNS)[0].kernel
    Z, rows = np.stack([X[:4], X[4:8], X[8:12]]), X[20:27]
    np.testing.assert_allclose(kernel.K(Z, rows), np.stack([kernel.K(z, rows) for z in Z]), atol=1e-12)
    np.testing.assert_allclose(kernel.K(rows, Z), np.stack([kernel.K(rows, z) for z in Z]), atol=1e-12)
    np.testing.assert_allclose(kernel.K(Z), np.stack([kernel.K(z) for z in Z]), atol=1e-12)
    np.testing.assert_allclose(kernel.K_diag(Z), np.stack([kernel.K_diag(z) for z in Z]), atol=1e-12)


def test_a_period_is_found_in_the_data() -> None:
    X, Y = data()
    config = ModelConfig.model_validate({"kernel": "periodic(inputs=[t])", "inducing": {"count": 6}})
    model, _ = build_model(config, X, Y, columns=COLUMNS)
    np.testing.assert_allclose(model.kernel.period, 0.7, rtol=0.02)
