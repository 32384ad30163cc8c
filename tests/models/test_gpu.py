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
