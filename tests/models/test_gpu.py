"""What must hold on a GPU; skipped, with the reason shown, where TensorFlow sees none."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp import linalg

pytestmark = pytest.mark.gpu

# A published example (Zygote, float32 on a GPU): the adjoint of log|K| for K the inverse of this matrix.
PUBLISHED = np.array(
    [
        [0.8429186, -0.4507908, -0.7811665],
        [-0.4507908, 0.4817330, 0.4726776],
        [-0.7811665, 0.4726776, 1.2611526],
    ],
    np.float32,
)


def test_the_published_adjoint_of_a_log_determinant():
    with tf.device("GPU:0"):
        K = tf.constant(np.linalg.inv(PUBLISHED.astype(float)).astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(K)
            value = linalg.logdet(K)
        gradient = tape.gradient(value, K)
    assert "GPU" in gradient.device
    np.testing.assert_allclose(gradient, PUBLISHED, rtol=2e-4)


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_bound_and_gradients_are_those_of_the_processor(dtype, whiten, small_model):
    """To the type's accuracy: TF32, which keeps ten bits, would show at 1e-3."""
    found = {}
    for device in ("CPU:0", "GPU:0"):
        with tf.device(device):
            model, data = small_model(dtype=dtype, whiten=whiten, inducing=60, rows=200, jitter=1e-3)
            with tf.GradientTape() as tape:
                value = model.elbo(data)
            found[device] = [value, *tape.gradient(value, model.trainable_variables)]
    tolerance = 1e-9 if dtype == tf.float64 else 3e-4
    for processor, gpu in zip(*found.values(), strict=True):
        scale = np.abs(processor).max()
        np.testing.assert_allclose(gpu, processor, rtol=0, atol=tolerance * scale)


def test_a_factorisation_is_repaired_there():
    K = tf.ones([2, 5, 5], tf.float64) * tf.constant([1.0, np.nan], tf.float64)[:, None, None]
    with tf.device("GPU:0"):
        factor = tf.function(linalg.factorise)(K)
    assert factor.repairs[0] >= 1 and np.isfinite(factor.L[0]).all()
    assert factor.repairs[1] == 0 and np.isnan(factor.L[1]).all()


@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
def test_a_whole_training_run(precision, tmp_path):
    import svgp

    config = svgp.config.Config.from_dict(
        {
            "data": {"dataset": {"name": "robot_arm", "rows": 2000}},
            "model": {"inducing": {"count": 64}},
            "train": {
                "method": "adam",
                "batch_size": 256,
                "max_epochs": 3,
                "device": "gpu",
                "precision": precision,
            },
            "output": {"dir": str(tmp_path)},
        }
    )
    run = svgp.train(config)
    assert np.isfinite(run.metrics["train.elbo"]) and run.metrics["test.rmse"] > 0.0
    rows = run.history()
    assert rows[-1]["elbo"] > rows[0]["elbo"]


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64], ids=lambda dtype: dtype.name)
def test_a_large_log_determinant_and_its_adjoint_are_those_of_the_processor(dtype):
    rng = np.random.default_rng(0)
    root = rng.standard_normal((2048, 2100))
    K = tf.constant(root @ root.T / 2048 + np.eye(2048), dtype)
    found = {}
    for device in ("CPU:0", "GPU:0"):
        with tf.device(device), tf.GradientTape() as tape:
            here = tf.identity(K)
            tape.watch(here)
            value = linalg.logdet(here)
        found[device] = [np.asarray(value), np.asarray(tape.gradient(value, here))]
    tolerance = 1e-10 if dtype == tf.float64 else 2e-4
    for processor, gpu in zip(*found.values(), strict=True):
        np.testing.assert_allclose(gpu, processor, atol=tolerance * np.abs(processor).max(), rtol=tolerance)


def test_a_complex_determinant_and_its_adjoint():
    rng = np.random.default_rng(1)
    A = (rng.standard_normal((3, 20, 20)) + 1j * rng.standard_normal((3, 20, 20))).astype(np.complex64)
    with tf.device("GPU:0"):
        matrix = tf.constant(A)
        with tf.GradientTape() as tape:
            tape.watch(matrix)
            value = linalg.slogdet(matrix)[1]
        gradient = tape.gradient(value, matrix)
    np.testing.assert_allclose(value, np.linalg.slogdet(A.astype(complex))[1], rtol=1e-4)
    expected = np.linalg.inv(A.astype(complex)).conj().swapaxes(-1, -2)
    np.testing.assert_allclose(gradient, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("size", [100, 300])
def test_a_failing_cholesky_gives_nan_and_is_repaired(size):
    """Of any size: cuSOLVER's batched routine and its single one report failure in different ways."""
    with tf.device("GPU:0"):
        bad = tf.linalg.diag(tf.concat([tf.ones([size - 1], tf.float64), [-1.0]], 0))
        assert np.isnan(tf.function(tf.linalg.cholesky)(bad)).any()
        factor = tf.function(linalg.factorise)(tf.ones([size, size], tf.float64))
    assert factor.repairs >= 1 and np.isfinite(factor.L).all() and np.isfinite(factor.L_inverse).all()


def test_the_collapsed_bound_is_the_host_s():
    from svgp.kernels import Matern32
    from svgp.likelihoods import Gaussian
    from svgp.models import SVGP
    from svgp.models.collapsed import CollapsedBound
    from svgp.models.collapsed.device import DevicePasses

    rng = np.random.default_rng(2)
    X = rng.standard_normal((5000, 3))
    Y = np.sin(X.sum(1, keepdims=True)) + 0.1 * rng.standard_normal((5000, 1))
    with tf.device("GPU:0"):
        model = SVGP(Matern32(1.0, [1.0, 1.0, 1.0]), Gaussian(0.05), X[:300], num_data=5000, bound="tight")
        bound = CollapsedBound(model, X, Y)
        assert isinstance(bound._work, DevicePasses)
        gpu = bound.evaluate()
        with linalg.backend("host"):
            host = CollapsedBound(model, X, Y).evaluate()
    assert gpu.bound == pytest.approx(host.bound, rel=1e-10)
    for ours, hosts in zip(gpu.gradients, host.gradients, strict=True):
        np.testing.assert_allclose(ours, hosts, atol=1e-8 * np.abs(hosts).max())


def test_evidence_and_predictions_with_neighbours_are_the_host_s():
    from svgp.kernels import Matern32
    from svgp.likelihoods import Gaussian
    from svgp.models import SVGP
    from svgp.models.neighbours.evidence import NeighbourEvidence
    from svgp.models.predictive import SparseRows
    from svgp.models.predictive.corrections import NeighbourRows

    rng = np.random.default_rng(2)
    X = rng.standard_normal((3000, 3))
    Y = np.sin(X.sum(1, keepdims=True)) + 0.1 * rng.standard_normal((3000, 1))
    found = {}
    with tf.device("GPU:0"):
        model = SVGP(Matern32(1.0, [1.0, 1.0, 1.0]), Gaussian(0.05), X[:300], num_data=3000)
        for who in ("host", "tensorflow"):
            with linalg.backend(who):
                evidence = NeighbourEvidence(model, X, Y, count=8).evaluate()
                source = SparseRows(model)
                rows = NeighbourRows(model, X, Y - source.parts(X).mean, np.full(Y.shape, 0.05), 16)
                correction = rows.correct(X[:700] + 0.1, np.ones(1))
            found[who] = [np.asarray(evidence.evidence), *evidence.gradients, *correction[:2]]
    for hosts, ours in zip(*found.values(), strict=True):
        np.testing.assert_allclose(ours, hosts, atol=1e-8 * np.abs(hosts).max())


@pytest.mark.parametrize("dtype", [tf.float64, tf.float32], ids=lambda dtype: dtype.name)
def test_a_natural_gradient_step_is_the_processor_s(dtype):
    from svgp.kernels import Matern32
    from svgp.likelihoods import Poisson
    from svgp.models import SVGP
    from svgp.models.dual.full import FullDual

    rng = np.random.default_rng(3)
    X = rng.standard_normal((500, 2))
    Y = rng.poisson(np.exp(np.sin(X[:, :1]))).astype(float)
    found = {}
    for device in ("CPU:0", "GPU:0"):
        with tf.device(device):
            model = SVGP(Matern32(), Poisson(), X[:60], num_data=500, jitter=1e-5, batch_dtype=dtype)
            step = FullDual(model).propose(
                tf.constant(X), tf.constant(Y), tf.constant(0.5, tf.float64), whole=False
            )
        found[device] = [step.elbo, *step.gradients, *step.state[:2]]
    tolerance = 1e-8 if dtype == tf.float64 else 1e-3
    for processor, gpu in zip(*found.values(), strict=True):
        np.testing.assert_allclose(gpu, processor, atol=tolerance * np.abs(processor).max())


@pytest.mark.parametrize("dataset", ["counts", "robot_arm"])
def test_natural_gradients_and_the_collapsed_method_train_there(dataset, tmp_path):
    import svgp

    likelihood = {"type": "poisson"} if dataset == "counts" else {"type": "gaussian"}
    config = svgp.config.Config.from_dict(
        {
            "data": {"dataset": {"name": dataset, "rows": 600}},
            "model": {
                "inducing": {"count": 32},
                "likelihood": likelihood,
                "neighbours": {"count": 0},
            },
            "train": {"batch_size": 200, "max_steps": 10, "device": "gpu"},
            "output": {"dir": str(tmp_path)},
        }
    )
    run = svgp.train(config)
    assert np.isfinite(run.metrics["train.elbo"])
    rows = run.history()
    assert rows[-1]["elbo"] > rows[0]["elbo"]
