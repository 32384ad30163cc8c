"""What training maximises: a bound on the log evidence, or how well each row is predicted.

The bounds differ in how the residual variance d = kff - diag(Kfu Kuu^-1 Kuf) enters them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError

if TYPE_CHECKING:
    from svgp.likelihoods import Likelihood
    from svgp.models.svgp import SVGP


class Bound(ABC):
    """A training objective, without state; `name` is what `model.bound` has in a config."""

    name: ClassVar[str]
    is_elbo: ClassVar[bool] = True  # else it is no bound, and the ELBO is reported beside it
    is_tight: ClassVar[bool] = False  # a row pays log(1 + d / s2) / 2 for its residual, instead of d / (2 s2)

    def scales_residual(self, likelihood: Likelihood) -> bool:
        """Whether q scales the residual variance by a parameter, `model.residual_scale` `[L]`."""
        return False

    @abstractmethod
    def terms(
        self, model: SVGP, mean: tf.Tensor, explained: tf.Tensor, residual: tf.Tensor, Y: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The ELBO without its KL: what each row adds [B], and what each row of the data set pays besides [].

        mean, explained and residual are [B, L]; Y is [B, P].
        """

    def instead(
        self, model: SVGP, mean: tf.Tensor, explained: tf.Tensor, residual: tf.Tensor, Y: tf.Tensor
    ) -> tf.Tensor | None:
        """What each row adds to the objective [B] in place of the first of `terms`; None: the same."""
        return None

    def residual_price(self, ratio: np.ndarray) -> np.ndarray:
        """Nats that a row pays for a residual variance of `ratio` times the (Gaussian) noise."""
        return 0.5 * ratio

    def __str__(self) -> str:
        return self.name


class Standard(Bound):
    """Under q, f_n has variance s_n + d_n (Hensman et al. 2013; Titsias 2009)."""

    name = "standard"

    def terms(
        self, model: SVGP, mean: tf.Tensor, explained: tf.Tensor, residual: tf.Tensor, Y: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """E_q(f_n)[log p(y_n | f_n)], and nothing besides."""
        expected = model.likelihood.expected_log_likelihood(mean, explained + residual, Y)
        return expected, tf.zeros([], mean.dtype)


class Tight(Bound):
    """Never lower than the standard bound (Titsias 2025; Bui, Ashman & Turner 2025).

    Gaussian noise s2: variance s_n, and each row pays log(1 + d_n / s2) / 2 instead of d_n / (2 s2); tighter
    because log(1 + x) <= x. Any other likelihood: q scales the residual by a trainable v > 0, one for each
    latent: variance `s_n + v d_n`, and the data set pays N (v - log v - 1) / 2. At v = 1 it is the standard
    bound.
    """

    name = "tight"
    is_tight = True

    def scales_residual(self, likelihood: Likelihood) -> bool:
        """Where the noise has no variance to compare the residual with."""
        return likelihood.noise is None

    def terms(
        self, model: SVGP, mean: tf.Tensor, explained: tf.Tensor, residual: tf.Tensor, Y: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As the class says."""
        expect = model.likelihood.expected_log_likelihood
        if model.residual_scale is not None:
            scale = tf.convert_to_tensor(model.residual_scale)  # [L]
            price = 0.5 * tf.reduce_sum(scale - tf.math.log(scale) - 1.0)
            return expect(mean, explained + scale * residual, Y), -price
        noise = model.likelihood.noise_variance(Y)  # [], [P] or [B, 1]
        price = 0.5 * tf.math.log1p(residual / noise)  # [B, P]
        if price.shape[-1] != 1:
            price = tf.where(model.likelihood.observed(Y), price, tf.zeros_like(price))
        return expect(mean, explained, Y) - tf.reduce_sum(price, -1), tf.zeros([], mean.dtype)

    def residual_price(self, ratio: np.ndarray) -> np.ndarray:
        """log(1 + ratio) / 2."""
        return 0.5 * np.log1p(ratio)


class PredictiveLogLikelihood(Standard):
    """No bound but an objective of its own: sum_n log E_q(f_n)[p(y_n | f_n)] - KL(q(u) || p(u)).

    That is the log density with which the model predicts each training row (Jankowiak, Pleiss & Gardner 2020,
    "Parametric Gaussian process regressors", with beta_reg = 1). By Jensen's inequality it lies above the
    standard bound, which is the ELBO of such a model: it is still computed, and reported.
    """

    name = "ppgpr"
    is_elbo = False

    def instead(
        self, model: SVGP, mean: tf.Tensor, explained: tf.Tensor, residual: tf.Tensor, Y: tf.Tensor
    ) -> tf.Tensor | None:
        """log E_q(f_n)[p(y_n | f_n)]."""
        return model.likelihood.predict_log_density(mean, explained + residual, Y)


BOUNDS: dict[str, Bound] = {bound.name: bound for bound in (Standard(), Tight(), PredictiveLogLikelihood())}


def as_bound(bound: str | Bound) -> Bound:
    """The bound of that name, or itself. Raises ModelError."""
    if isinstance(bound, Bound):
        return bound
    if bound not in BOUNDS:
        raise ModelError(f"bound {bound!r}: expected one of {', '.join(BOUNDS)}")
    return BOUNDS[bound]


def require_elbo(model: SVGP, method: str) -> None:
    """Raise ModelError where `model` is trained on something else than its ELBO, which `method` maximises."""
    if not model.bound.is_elbo:
        raise ModelError(
            f"train.method: {method} looks for the q(u) of the highest ELBO, and model.bound: "
            f"{model.bound.name} asks for another one; use train.method: adam (or auto)"
        )
