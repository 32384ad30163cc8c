"""Natural-gradient steps that need no tuning: shortened inside the graph until they are safe."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

HALVINGS = 12  # a step 4000 times shorter changes nothing: q stays, and the step counts as taken
# The bound of a batch is a difference of sums whose rounding, amplified by Kuu's condition, is about this.
TOLERANCE = 1e-9
STOP = 1e-8  # a climb ends with a step that gains less, relative to those sums; 1e-7 to 1e-9 end alike
CLIMB = 25  # steps of a climb: from a good start three to six are enough
RECOVERY = 2.0  # a length that had to be cut grows back by this factor a step of a climb


class Search(NamedTuple):
    """What a search found. `tensors` are those of the start where no step was accepted."""

    tensors: tuple[tf.Tensor, ...]
    rho: tf.Tensor  # [] the step taken, 0 where none was
    retries: tf.Tensor  # [] int32: how often a step was shortened
    value: tf.Tensor  # [] at `tensors`


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

    def again(
        found: tf.Tensor, tried: tf.Tensor, length: tf.Tensor, _: tf.Tensor, *__: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        length = tf.where(tried > 0, 0.5 * length, length)
        reached, tensors = trial(length)
        return (reached >= least, tried + 1, length, reached, *tensors)

    found, tried, length, reached, *tensors = tf.while_loop(
        lambda found, *_: tf.logical_not(found),
        again,
        (tf.constant(False), tf.constant(0), rho, value, *start),
        maximum_iterations=HALVINGS,
        parallel_iterations=1,
    )
    kept = tf.cond(found, lambda: tuple(map(tf.identity, tensors)), lambda: tuple(map(tf.identity, start)))
    none = tf.zeros_like(length)
    return Search(kept, tf.where(found, length, none), tried - 1, tf.where(found, reached, value))


def climb(
    step: Callable[[tuple[tf.Tensor, ...], tf.Tensor], tuple[tf.Tensor, tf.Tensor, Search]],
    start: tuple[tf.Tensor, ...],
) -> Search:
    """Repeat `step(tensors, rho) -> (value, scale, found)` until it gains next to nothing.

    `value` and `scale` are those of `search` before the step, `found` is what it found. The first step has
    length 1; one that had to be cut grows back.
    """

    def again(
        _: tf.Tensor, rho: tf.Tensor, retries: tf.Tensor, __: tf.Tensor, *tensors: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        value, scale, found = step(tensors, tf.minimum(rho, 1.0))
        gains = found.value - value > STOP * scale  # False for NaN
        return (gains, RECOVERY * found.rho, retries + found.retries, found.value, *found.tensors)

    zero, one = tf.constant(0.0, tf.float64), tf.constant(1.0, tf.float64)
    _, rho, retries, value, *tensors = tf.while_loop(
        lambda gains, *_: gains,
        again,
        (tf.constant(True), one, tf.constant(0), zero, *start),
        maximum_iterations=CLIMB,
        parallel_iterations=1,
    )
    return Search(tuple(tensors), rho / RECOVERY, retries, value)
