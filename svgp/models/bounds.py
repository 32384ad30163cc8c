"""What training maximises: a bound on the log evidence, or how well each row is predicted.

The bounds differ in how the residual variance d = kff - diag(Kfu Kuu^-1 Kuf) enters them:

- `standard`: under q, f_n has variance s_n + d_n (Hensman et al. 2013; Titsias 2009).
- `tight`, Gaussian noise s2: variance s_n, and each row pays log(1 + d_n / s2) / 2 instead of d_n / (2 s2).
  Never lower than the standard bound, because log(1 + x) <= x (Titsias 2025; Bui, Ashman & Turner 2025).
- `tight`, any other likelihood: q scales the residual by a trainable v > 0, one for each latent: variance
  `s_n + v d_n`, and the data set pays N (v - log v - 1) / 2. At v = 1 it is the standard bound.

`ppgpr` is no bound but an objective of its own: sum_n log E_q(f_n)[p(y_n | f_n)] - KL(q(u) || p(u)), the log
density with which the model predicts each training row (Jankowiak, Pleiss & Gardner 2020, "Parametric
Gaussian process regressors", with beta_reg = 1). By Jensen's inequality it lies above the standard bound,
which is the ELBO of such a model: it is still computed, and reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from svgp.errors import ModelError

if TYPE_CHECKING:
    from svgp.models.svgp import SVGP

BOUNDS = ("standard", "tight", "ppgpr")


def bound_terms(
    model: SVGP, mean: tf.Tensor, explained: tf.Tensor, residual: tf.Tensor, Y: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The ELBO without its KL: what each row adds [B], and what each row of the data set pays besides [].

    mean, explained and residual are [B, L]; Y is [B, P].
    """
    expect = model.likelihood.expected_log_likelihood
    zero = tf.zeros([], mean.dtype)
    if model.bound in ("standard", "ppgpr"):
        return expect(mean, explained + residual, Y), zero
    if hasattr(model, "residual_scale"):
        scale = tf.convert_to_tensor(model.residual_scale)  # [L]
        return expect(mean, explained + scale * residual, Y), -0.5 * tf.reduce_sum(
            scale - tf.math.log(scale) - 1.0
        )
    noise = model.likelihood.noise_variance(Y)  # [], [P] or [B, 1]
    price = 0.5 * tf.math.log1p(residual / noise)  # [B, P]
    if price.shape[-1] != 1:
        price = tf.where(model.likelihood.observed(Y), price, tf.zeros_like(price))
    return expect(mean, explained, Y) - tf.reduce_sum(price, -1), zero


def require_elbo(model: SVGP, method: str) -> None:
    """Raise ModelError where `model` is trained on something else than its ELBO, which `method` maximises."""
    if model.bound == "ppgpr":
        raise ModelError(
            f"train.method: {method} looks for the q(u) of the highest ELBO, and model.bound: ppgpr asks for "
            "another one; use train.method: adam (or auto)"
        )
