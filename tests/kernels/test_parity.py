"""Every kernel's matrix and gradients against an independent source: GPflow where it has it, else NumPy.

`scripts/parity` prints the table of largest differences. NumPy's formulas are written on explicit
differences, with loops where that is plainest; GPflow is in the development environment only.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels as k
from svgp.networks import Network

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(6, 2)), RNG.normal(size=(4, 2))
ONE_HOT = np.eye(3)[[0, 1, 2, 1, 0, 2]], np.array([[0.2, 0.5, 0.3], [1, 0, 0], [0, 0, 1], [0, 0, 0.0]])
LENGTHS = np.array([0.7, 1.9])
W = RNG.normal(size=(3, 2))


def direct(x: np.ndarray, z: np.ndarray, function: Callable[[Any, Any], float]) -> np.ndarray:
    """The matrix of k(x, x'), pair by pair."""
    return np.array([[function(a, b) for b in z] for a in x])


def weighted(a, b):
    return 0.4 + np.sum([0.8, 1.7] * a * b)


def neural(a, b):
    ratio = 2 * weighted(a, b) / np.sqrt((1 + 2 * weighted(a, a)) * (1 + 2 * weighted(b, b)))
    return 1.3 * 2 / np.pi * np.arcsin(ratio)


def walk(a, b, integrated):
    total = 1.3
    for s, t in zip(a + 0.3, b + 0.3, strict=True):
        low, high = sorted([abs(s), abs(t)])
        same = s * t > 0
        total *= (low**2 * (3 * high - low) / 6 if integrated else low) if same else 0.0
    return total


def mixture(a, b):
    t = a - b
    total = 0.0
    for w, m, s in zip([0.4, 0.9], [[0.2, 0.5], [1.0, 0.1]], [[0.3, 0.2], [0.1, 0.4]], strict=True):
        total += w * np.exp(-2 * np.pi**2 * np.sum((s * t) ** 2)) * np.cos(2 * np.pi * np.sum(m * t))
    return total


def additive(a, b):
    z = np.exp(-0.5 * ((a - b) / LENGTHS) ** 2)
    return 0.7 * z.sum() / 2 + 0.5 * sum(p * q for p, q in combinations(z, 2)) / 1


def warped(a, b):
    def phi(x):
        u = (x + 4) / 8
        return -4 + 8 * (1 - (1 - u ** np.array([1.4, 0.8])) ** np.array([0.9, 1.6]))

    return 1.3 * np.exp(-0.5 * np.sum(((phi(a) - phi(b)) / LENGTHS) ** 2))


def circles(a, b):
    chord = np.sqrt(np.sum((np.sin(np.pi * (a - b) / [1.1, 2.3]) / LENGTHS) ** 2))
    return 1.3 * (1 + np.sqrt(3) * chord) * np.exp(-np.sqrt(3) * chord)


NETWORK = Network([2, 5, 2], seed=3)


def deep(a, b):
    weights, biases = [w.numpy() for w in NETWORK.weights], [b.numpy() for b in NETWORK.biases]
    phi = [np.tanh(x @ weights[0] + biases[0]) @ weights[1] + biases[1] for x in (a, b)]
    return 1.3 * np.exp(-0.5 * np.sum((phi[0] - phi[1]) ** 2))


def levels(a, b):
    whole = [x + (1 - x.sum()) / 3 for x in (a, b)]
    return whole[0] @ (W @ W.T + np.diag([0.3, 0.4, 0.5])) @ whole[1]


def hamming(a, b):
    return 1.3 * np.exp(-0.5 * np.sum((a - b) ** 2) / 0.8)


def gpflow_kernel(make: Callable[[Any], Any]) -> Callable[[np.ndarray, np.ndarray], Any]:
    def matrix(x: Any, z: Any) -> Any:
        gpflow = pytest.importorskip("gpflow")
        return make(gpflow.kernels)(tf.convert_to_tensor(x), tf.convert_to_tensor(z))

    return matrix


def numpy_kernel(function: Callable[[Any, Any], float]) -> Callable[[np.ndarray, np.ndarray], Any]:
    return lambda x, z: direct(x, z, function)


def change(module: Any) -> Any:
    # GPflow's acts on one column: ours is given the first.
    parts = [module.Matern32(1.3, 0.7), module.SquaredExponential(0.5, 1.9), module.Matern12(0.8, 1.1)]
    return module.ChangePoints(parts, [-0.4, 0.6], 3.0)


ARC = {"variance": 1.3, "weight_variances": [0.8, 1.7], "bias_variance": 0.4}
CASES: dict[str, tuple[Any, Any]] = {
    "RationalQuadratic": (
        k.RationalQuadratic(1.3, LENGTHS, 0.6),
        gpflow_kernel(lambda g: g.RationalQuadratic(1.3, LENGTHS, 0.6)),
    ),
    "Cosine": (k.Cosine(1.3, LENGTHS), gpflow_kernel(lambda g: g.Cosine(1.3, LENGTHS))),
    "Polynomial": (
        k.Polynomial(3, [0.8, 1.7], 0.4),
        gpflow_kernel(lambda g: g.Polynomial(3, [0.8, 1.7], 0.4)),
    ),
    "ArcCosine 0": (k.ArcCosine(0, **ARC), gpflow_kernel(lambda g: g.ArcCosine(0, **ARC))),
    "ArcCosine 1": (k.ArcCosine(1, **ARC), gpflow_kernel(lambda g: g.ArcCosine(1, **ARC))),
    "ArcCosine 2": (k.ArcCosine(2, **ARC), gpflow_kernel(lambda g: g.ArcCosine(2, **ARC))),
    "Periodic SquaredExponential": (
        k.Periodic(k.SquaredExponential(1.3, LENGTHS), [1.1, 2.3]),
        gpflow_kernel(lambda g: g.Periodic(g.SquaredExponential(1.3, LENGTHS), [1.1, 2.3])),
    ),
    "Periodic Matern52": (
        k.Periodic(k.Matern52(1.3, 0.7), 1.1, active_dims=[0]),
        gpflow_kernel(lambda g: g.Periodic(g.Matern52(1.3, 0.7, active_dims=[0]), 1.1)),
    ),
    "ChangePoints": (k.Kernel, gpflow_kernel(change)),
    "Periodic Matern32, two inputs": (
        k.Periodic(k.Matern32(1.3, LENGTHS), [1.1, 2.3]),
        numpy_kernel(circles),
    ),
    "NeuralNetwork": (k.NeuralNetwork(**ARC), numpy_kernel(neural)),
    "Brownian": (k.Brownian(1.3, [-0.3, -0.3]), numpy_kernel(lambda a, b: walk(a, b, False))),
    "IntegratedBrownian": (
        k.IntegratedBrownian(1.3, [-0.3, -0.3]),
        numpy_kernel(lambda a, b: walk(a, b, True)),
    ),
    "SpectralMixture": (
        k.SpectralMixture([0.4, 0.9], [[0.2, 0.5], [1.0, 0.1]], [[0.3, 0.2], [0.1, 0.4]]),
        numpy_kernel(mixture),
    ),
    "Additive": (
        k.Additive(k.SquaredExponential, [[0], [1]], [0.7, 0.5], LENGTHS),
        numpy_kernel(additive),
    ),
    "Warped": (
        k.Warped(k.SquaredExponential(1.3, LENGTHS), [-4.0, -4.0], [4.0, 4.0], [1.4, 0.8], [0.9, 1.6]),
        numpy_kernel(warped),
    ),
    "Deep": (k.Deep(k.SquaredExponential(1.3, 1.0), NETWORK), numpy_kernel(deep)),
    "Categorical": (k.Categorical(W, [0.3, 0.4, 0.5]), numpy_kernel(levels)),
    "Hamming": (k.Hamming([[0, 1, 2]], 1.3, 0.8), numpy_kernel(hamming)),
}
CASES["ChangePoints"] = (change(k), CASES["ChangePoints"][1])


def inputs(name: str) -> tuple[np.ndarray, np.ndarray]:
    if name in ("Categorical", "Hamming"):
        return ONE_HOT
    return (X[:, :1], Z[:, :1]) if name == "ChangePoints" else (X, Z)


def along(
    function: Callable[[np.ndarray], float], at: np.ndarray, gradient: Any, directions: int = 2
) -> float:
    """The largest difference of a gradient from central differences, along random directions."""
    rng, worst = np.random.default_rng(7), 0.0
    for _ in range(directions):
        direction = rng.normal(size=at.shape)
        numeric = (function(at + 1e-6 * direction) - function(at - 1e-6 * direction)) / 2e-6
        worst = max(worst, abs(numeric - float(np.sum(np.asarray(gradient) * direction))))
    return worst


def differences(name: str) -> dict[str, float]:
    """Largest differences of the matrix, and of its gradients by inputs and by parameters."""
    kernel, reference = CASES[name]
    x, z = inputs(name)
    weights = np.random.default_rng(5).normal(size=(len(x), len(z)))
    with tf.GradientTape() as tape:
        left = tf.constant(x)
        tape.watch(left)
        K = kernel.K(left, z)
        total = tf.reduce_sum(weights * K)
    variables = list(kernel.trainable_variables)
    by_x, *by_variables = tape.gradient(total, [left, *variables])
    by_matrix = np.abs(K - reference(x, z)).max()
    by_input = along(lambda at: float(np.sum(weights * reference(at, z))), x, by_x)
    by_parameter = 0.0
    for variable, gradient in zip(variables, by_variables, strict=True):
        value = variable.numpy()

        def changed(at: np.ndarray, variable: tf.Variable = variable) -> float:
            variable.assign(at)
            return float(np.sum(weights * kernel.K(x, z)))

        by_parameter = max(by_parameter, along(changed, value, gradient, directions=1))
        variable.assign(value)
    return {"matrix": by_matrix, "by inputs": by_input, "by parameters": by_parameter}


@pytest.mark.parametrize("name", CASES)
def test_matrix_and_gradients_are_those_of_an_independent_source(name: str) -> None:
    found = differences(name)
    assert found["matrix"] < 1e-12 and found["by inputs"] < 1e-7 and found["by parameters"] < 1e-7


@pytest.mark.parametrize("name", CASES)
def test_it_is_a_covariance_with_finite_gradients_where_points_coincide(name: str) -> None:
    kernel = CASES[name][0]
    x = np.concatenate([*inputs(name), inputs(name)[0][:2]])  # two rows twice
    with tf.GradientTape(persistent=True) as tape:
        points = tf.constant(x)
        tape.watch(points)
        square, panel = kernel.K(points), kernel.K(points, x)
    np.testing.assert_array_equal(np.diag(square), kernel.K_diag(x))
    # An angle, or a distance whose square has been rounded, is known to the root of the precision.
    np.testing.assert_allclose(square, panel, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(square, np.transpose(square), rtol=1e-13, atol=1e-13)
    assert np.linalg.eigvalsh(square).min() > -1e-10
    for output in (square, panel):
        for gradient in tape.gradient(output, [points, *kernel.trainable_variables]):
            assert gradient is None or np.all(np.isfinite(gradient))


@pytest.mark.parametrize("name", CASES)
def test_sets_of_points_and_other_float_types(name: str) -> None:
    """Leading dimensions, as neighbours have them, and panels in float32."""
    kernel, x = CASES[name][0], inputs(name)[0]
    sets = np.stack([x[:3], x[3:]])
    np.testing.assert_allclose(kernel.K(sets)[1], kernel.K(x[3:]), atol=1e-14)
    np.testing.assert_allclose(kernel.K(sets, sets[::-1])[0], kernel.K(x[:3], x[3:]), atol=1e-14)
    np.testing.assert_allclose(kernel.K_diag(sets)[1], kernel.K_diag(x[3:]), atol=1e-14)
    single = kernel.K(x, dtype=tf.float32)
    assert single.dtype == tf.float32 and kernel.K_diag(x, dtype=tf.float32).dtype == tf.float32
    np.testing.assert_allclose(single, kernel.K(x), rtol=1e-4, atol=1e-5)
    lengths = np.asarray(kernel.input_lengthscales(x.shape[1]))
    assert lengths.shape == (x.shape[1],) and np.all(lengths > 0)
