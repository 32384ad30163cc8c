"""How L latent GPs g become the Q functions f that a likelihood reads: by themselves, or mixed.

Mixed, f(x) = W g(x) with W [Q, L]: of independent latents the marginals are

    mean f = W mean g        var f = (W o W) var g        cov f = W diag(var g) W^T

and the prior of f has the covariance `sum_l w_l w_l^T k_l(x, x')`: linear coregionalisation (Goovaerts 1997;
Alvarez, Rosasco & Lawrence 2012). Where all latents share one kernel k it is `B k(x, x')`, intrinsic
coregionalisation, with `B = W W^T + diag(kappa)`: then kappa's functions are latents as well, one for each
output. q(u) and its KL stay those of the latents; W takes its gradient from the expected log-likelihood
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.parameters import positive


class Outputs(tf.Module):
    """The identity: function p is latent p."""

    mixes = False

    def num_functions(self, latents: int) -> int:
        """Q, for L latents. Raises ModelError where they do not fit."""
        return latents

    def functions(self, mean: tf.Tensor, *variances: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Marginals [..., N, L] of the latents as those of the functions, [..., N, Q]."""
        return (mean, *variances)

    def values(self, latents: Any) -> Any:
        """Values g [..., L] as f [..., Q]."""
        return latents

    def weights(self) -> tf.Tensor | None:
        """W [Q, L]; None for the identity."""
        return None


Independent = Outputs


class Mixing(Outputs):
    """f = W g, with a trainable W [Q, L]. Raises ModelError where W is no finite matrix."""

    mixes = True

    def __init__(self, W: Any, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(name=name)
        array = np.asarray(W, dtype.as_numpy_dtype)
        if array.ndim != 2 or not array.size or not np.isfinite(array).all():
            raise ModelError(
                f"mixing weights W: expected finite numbers [outputs, latents], got {array.shape}"
            )
        self.W = tf.Variable(array, name="W")

    def num_functions(self, latents: int) -> int:
        rows, columns = self.weights().shape
        if columns != latents:
            raise ModelError(
                f"mixing weights are for {columns} latent functions, and the model has {latents}"
            )
        return int(rows)

    def functions(self, mean: tf.Tensor, *variances: tf.Tensor) -> tuple[tf.Tensor, ...]:
        W = tf.cast(self.weights(), mean.dtype)
        square = W * W
        mixed = (tf.tensordot(variance, square, [[-1], [1]]) for variance in variances)
        return (tf.tensordot(mean, W, [[-1], [1]]), *mixed)

    def values(self, latents: Any) -> Any:
        return np.asarray(latents) @ np.asarray(self.weights()).T

    def weights(self) -> tf.Tensor:
        return tf.convert_to_tensor(self.W)


class Coregion(Mixing):
    """`B = W W^T + diag(kappa)`, W [Q, R] and kappa [Q] > 0: R shared latents, then one for each function."""

    def __init__(self, W: Any, kappa: Any, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(W, dtype=dtype, name=name)
        self.kappa = positive(kappa, "kappa", dtype=dtype)
        if self.kappa.shape != [self.W.shape[0]]:
            raise ModelError(f"kappa has shape {self.kappa.shape} for {self.W.shape[0]} outputs")

    def weights(self) -> tf.Tensor:
        own = tf.linalg.diag(tf.sqrt(tf.convert_to_tensor(self.kappa)))  # [Q, Q]
        return tf.concat([tf.convert_to_tensor(self.W), own], 1)  # [Q, R + Q]


def principal_weights(
    Y: np.ndarray, latents: int, variance: Sequence[float] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """W [P, L] where training starts, and the variance of each target that it leaves out [P].

    W = V sqrt(eigenvalues) of the covariance of Y [N, P] (pairs of rows that have both; NaN is missing), for
    latents of prior variance 1. Latents beyond P get small weights that differ, so that each can find a use.
    """
    here = np.isfinite(Y)
    centred = np.where(here, Y - np.nanmean(np.where(here, Y, np.nan), axis=0), 0.0)  # [N, P]
    pairs = np.maximum(here.T.astype(float) @ here.astype(float), 1.0)
    values, vectors = np.linalg.eigh(centred.T @ centred / pairs)
    order = np.argsort(-values)[:latents]
    W = vectors[:, order] * np.sqrt(np.maximum(values[order], 0.0))
    # Of each component the larger entries are positive: a sign that does not depend on the library.
    W *= np.where(np.sum(W**3, axis=0) < 0, -1.0, 1.0)
    if latents > W.shape[1]:
        rng = np.random.default_rng(0)
        small = 0.1 * np.sqrt(np.asarray(variance))[:, None]
        W = np.hstack([W, small * rng.normal(size=(len(W), latents - W.shape[1]))])
    rest = np.asarray(variance) - np.sum(W**2, axis=1)
    return W, np.maximum(rest, 0.0)
