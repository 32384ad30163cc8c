"""What a caller may pass, and what the message says where it does not fit."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods
from svgp.errors import ModelError
from svgp.models import SVGP
from svgp.models.shapes import as_data, as_inputs, as_q_mean, as_q_sqrt


def zeros(*shape):
    return np.zeros(shape)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((zeros(9), zeros(9)), "X has shape (9,); expected [rows, columns] (use X[:, None] for one column)"),
        ((zeros(9, 3), zeros(9)), "X has 3 columns; the inducing points have 2"),
        ((zeros(9, 2), zeros(8)), "X has shape (9, 2) and Y (8, 1); expected [N, D] and [N, P], or [N]"),
        ((zeros(9, 2), zeros(1, 9)), "X has shape (9, 2) and Y (1, 9)"),
        ((zeros(9, 2), zeros(9, 1, 1)), "expected [N, D] and [N, P], or [N] for one output"),
        ((zeros(9, 2), zeros(9, 2)), "one column for each latent GP"),
        (zeros(9, 2)[:1], "data must be a pair (X, Y)"),
        (None, "data must be a pair (X, Y)"),
    ],
)
def test_wrong_data_is_refused_in_words(data, message, small_model):
    model, _ = small_model()
    for method in (model.elbo, model.predict_log_density):
        with pytest.raises(ModelError, match=re.escape(message)):
            method(data)


def test_rows_known_only_when_the_graph_runs_never_broadcast(small_model):
    model, _ = small_model()
    signature = [tf.TensorSpec([None, 2], tf.float64), tf.TensorSpec([None, 1], tf.float64)]
    elbo = tf.function(lambda X, Y: model.elbo((X, Y)), input_signature=signature, autograph=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match="rows_of_F_and_Y_differ"):
        elbo(zeros(9, 2), zeros(1, 1))


@pytest.mark.parametrize("predict", ["predict_f", "predict_y", "marginals"])
def test_wrong_inputs_of_predictions_are_refused(predict, small_model):
    model, _ = small_model()
    with pytest.raises(ModelError, match="X has 3 columns"):
        getattr(model, predict)(zeros(4, 3))
    with pytest.raises(ModelError, match=r"use X\[:, None\]"):
        getattr(model, predict)(zeros(4))


def test_any_float_type_is_taken_and_lists_stay_exact():
    for X in ([[0.1, 0.2]], np.array([[0.1, 0.2]]), tf.constant([[0.1, 0.2]], tf.float64)):
        np.testing.assert_array_equal(as_inputs(X, "X", tf.float64), [[0.1, 0.2]])
    assert as_inputs(np.float32([[0.1]]), "X", tf.float64).dtype == tf.float64
    assert as_inputs([[1, 2]], "X", tf.float64).dtype == tf.float64
    assert as_inputs(tf.constant([[1, 2]]), "X", tf.float32).dtype == tf.float32
    X, Y = as_data(([[0.1]], [0.1]), 1, tf.float64)
    assert X.numpy()[0, 0] == Y.numpy()[0, 0] == 0.1


@pytest.mark.parametrize("shape", [(4,), (1, 4), (4, 1)])
def test_q_mean_of_one_latent_in_three_shapes(shape):
    values = np.arange(4.0)
    np.testing.assert_array_equal(as_q_mean(values.reshape(shape), 1, 4, tf.float64), values[None])


def test_q_mean_of_several_latents():
    values = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(as_q_mean(values, 3, 4, tf.float64), values)
    np.testing.assert_array_equal(as_q_mean(values.T, 3, 4, tf.float64), values)
    square = np.arange(9.0).reshape(3, 3)  # ambiguous: taken as [L, M]
    np.testing.assert_array_equal(as_q_mean(square, 3, 3, tf.float64), square)
    assert as_q_mean(None, 3, 4, tf.float32).dtype == np.float32
    with pytest.raises(ModelError, match=r"q_mean has shape \(5, 4\); expected \[L, M\] = \[3, 4\]"):
        as_q_mean(zeros(5, 4), 3, 4, tf.float64)


def test_q_sqrt_shapes_and_defaults():
    root = np.tril(np.ones((4, 4)))
    assert as_q_sqrt(root, 3, 4, False, tf.float64).shape == (3, 4, 4)
    np.testing.assert_array_equal(as_q_sqrt(None, 2, 4, False, tf.float64)[1], np.eye(4))
    np.testing.assert_array_equal(as_q_sqrt(None, 2, 4, True, tf.float64), np.ones((2, 4)))
    assert as_q_sqrt(np.ones((4, 3)), 3, 4, True, tf.float64).shape == (3, 4)
    with pytest.raises(ModelError, match=r"q_sqrt has shape \(4, 5\); expected \[1, 4, 4\]"):
        as_q_sqrt(zeros(4, 5), 1, 4, False, tf.float64)
    with pytest.raises(ModelError, match="above its diagonal; expected a lower triangle"):
        as_q_sqrt(root.T, 1, 4, False, tf.float64)


def test_latents_are_counted_from_whatever_tells():
    kernel, noise, Z = kernels.Matern32(), likelihoods.Gaussian(), zeros(4, 2)
    assert SVGP(kernel, noise, Z).num_latent == 1
    assert SVGP(kernel, noise, Z, q_mean=zeros(3, 4)).num_latent == 3
    assert SVGP(kernel, noise, Z, q_mean=zeros(4, 3)).num_latent == 3
    assert SVGP(kernel, noise, Z, q_sqrt=np.stack([np.eye(4)] * 2)).num_latent == 2
    assert SVGP(kernel, noise, Z, q_sqrt=np.ones((2, 4)), q_diag=True).num_latent == 2
    assert SVGP(kernel, noise, Z, num_latent=5).q_sqrt.shape == [5, 4, 4]
