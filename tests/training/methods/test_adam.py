from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.errors import RunError
from svgp.training.methods.adam import Adam, AdamOptimiser


def test_updates_equal_the_published_algorithm():
    """Kingma & Ba 2015, algorithm 1, written out in NumPy."""
    x = tf.Variable([1.0, -2.0], dtype=tf.float64)
    optimiser = AdamOptimiser([x], learning_rate=0.1)
    expected, m, v = np.array([1.0, -2.0]), 0.0, 0.0
    for t in range(1, 6):
        gradient = np.array([np.sin(t), t**2])
        optimiser.apply([tf.constant(gradient)])
        m = 0.9 * m + 0.1 * gradient
        v = 0.999 * v + 0.001 * gradient**2
        step_size = 0.1 * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)  # the form before section 2.1
        expected = expected - step_size * m / (np.sqrt(v) + 1e-8)
        np.testing.assert_allclose(x.numpy(), expected, rtol=1e-12)


def test_training_finds_the_line(table, settings, line_model):
    model = line_model(len(table[0]))
    adam = Adam(model, *table, settings)
    for _ in range(600):
        adam.advance()
    # The penalty |slope|^2 / 2 shrinks it by about 1 part in the number of rows.
    np.testing.assert_allclose(model.slope.numpy()[:, 0], [2.0, -1.0], atol=0.06)


def test_one_trace_serves_full_and_partial_batches(table, settings, line_model):
    adam = Adam(line_model(len(table[0])), *table, settings)
    assert [adam.advance().step for _ in range(7)] == list(range(1, 8))
    assert adam.compiled_step.traces() == 1


def test_a_step_that_is_not_finite_changes_nothing(table, settings, line_model):
    model = line_model(len(table[0]))
    adam = Adam(model, *table, settings)
    adam.advance()
    before = adam.state()
    model.poison.assign(-100.0)
    record = adam.advance()
    assert record.values()[-1] == 0.0
    after = adam.state()
    for name in before.keys() - {"step", "model/poison"}:
        np.testing.assert_array_equal(after[name], before[name], err_msg=name)


def test_a_gradient_that_is_not_finite_is_caught_though_the_loss_is(settings, line_model):
    class Corner(line_model):
        def elbo_parts(self, batch):
            parts = super().elbo_parts(batch)
            root = tf.sqrt(tf.reduce_sum(self.offset**2))  # 0 with an infinite slope
            return parts._replace(objective=parts.objective + root)

    model = Corner(4)
    record = Adam(model, np.ones((4, 2)), np.ones((4, 1)), settings).advance()
    assert np.isfinite(record.values()[0])
    assert record.values()[-1] == 0.0
    np.testing.assert_array_equal(model.offset.numpy(), [0.0])


def test_state_continues_bit_for_bit(table, settings, line_model):
    straight = Adam(line_model(len(table[0])), *table, settings)
    for _ in range(9):
        straight.advance()
    middle = straight.state()
    resumed = Adam(line_model(len(table[0])), *table, settings)
    resumed.load_state(middle)
    for _ in range(8):
        np.testing.assert_array_equal(straight.advance().values(), resumed.advance().values())
    for name, array in straight.state().items():
        np.testing.assert_array_equal(array, resumed.state()[name], err_msg=name)


def test_state_of_another_model_is_refused(table, settings, line_model):
    adam = Adam(line_model(len(table[0])), *table, settings)
    other = Adam(line_model(4, inputs=3), np.zeros((4, 3)), np.zeros((4, 1)), settings)
    with pytest.raises(RunError, match="slope"):
        adam.load_state(other.state())
