"""Natural-gradient steps that need no tuning: shortened inside the graph until they are safe."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

HALVINGS = 12  # a step 4000 times shorter changes nothing: q stays, and the step counts as taken
# The bound of a batch is a difference of sums whose rounding, amplified by Kuu's condition, is about this.
TOLERANCE = 1e-9


class Search(NamedTuple):
    """What a search found. `tensors` are those of the start where no step was accepted."""

    tensors: tuple[tf.Tensor, ...]
    rho: tf.Tensor  # [] the step taken, 0 where none was
    retries: tf.Tensor  # [] int32: how often a step was shortened


def search(
    trial: Callable[[tf.Tensor], tuple[tf.Tensor, tuple[tf.Tensor, ...]]],
    start: tuple[tf.Tensor, ...],
    value: tf.Tensor,
    scale: tf.Tensor,
    rho: tf.Tensor,
) -> Search:
    """Halve `rho` until `trial(rho) -> (value, tensors)` gives a value that is not below the start's.

    A natural gradient is a direction of ascent, so a step that lowers the bound of its own batch is too
    long, and one that leaves the cone of valid precisions (a value of NaN) is as well: both are
    convex combinations of where q is and where it would go, so a shorter one is valid.
    `scale` is the size of the sums that the value is a difference of.
    """
    least = value - TOLERANCE * scale

    def again(found: tf.Tensor, tried: tf.Tensor, length: tf.Tensor, *_: tf.Tensor) -> tuple[tf.Tensor, ...]:
        length = tf.where(tried > 0, 0.5 * length, length)
        reached, tensors = trial(length)
        return (reached >= least, tried + 1, length, *tensors)

    found, tried, length, *tensors = tf.while_loop(
        lambda found, *_: tf.logical_not(found),
        again,
        (tf.constant(False), tf.constant(0), rho, *start),
        maximum_iterations=HALVINGS,
        parallel_iterations=1,
    )
    kept = tf.cond(found, lambda: tuple(map(tf.identity, tensors)), lambda: tuple(map(tf.identity, start)))
    return Search(kept, tf.where(found, length, tf.zeros_like(length)), tried - 1)
