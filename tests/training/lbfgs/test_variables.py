from __future__ import annotations

import numpy as np
import tensorflow as tf

from svgp.training.lbfgs.variables import WALL, pack, unpack, wall


def test_unpack_is_the_inverse_of_pack():
    values = [np.arange(6.0).reshape(2, 3), np.float64(7.0), np.array([1.5, 2.5], np.float32)]
    variables = [tf.Variable(x) for x in values]
    x = pack(variables)
    assert x.dtype == np.float64 and x.shape == (9,)
    unpack(variables, 2.0 * x)
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), 2 * value)


def test_a_wall_has_its_lowest_point_at_a_tenth_of_the_step():
    start, gradient = np.array([1.0, -2.0]), np.array([-3.0, 1.0])
    x = start + np.array([0.5, 0.25])
    value, slope = wall((start, 4.0, gradient), x)
    along = gradient @ (x - start)
    # f(0) = 4 and f'(0) = along (< 0) are the anchor's; a parabola with f'(t) = along (1 - t / WALL).
    np.testing.assert_allclose(value, 4.0 + along * (1.0 - 0.5 / WALL))
    np.testing.assert_allclose(slope @ (x - start), along * (1.0 - 1.0 / WALL))
