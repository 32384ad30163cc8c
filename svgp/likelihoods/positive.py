"""Positive targets, of which some may be censored: y = exp(f) times a variable of its own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.mixtures import continuous_quantiles, wide
from svgp.likelihoods.start import LatentStart, Level, Targets, variance_of


class PositiveLikelihood(Likelihood):
    """y > 0 whose scale is exp(f); `censored`: Y has a column after the targets, 1 where y is right-censored.

    Of such a row it is known only that the observation would have come after y: it counts with log P(y' > y).
    """

    task = "positive"
    reach = 40.0  # of log y about f, beyond which no quantile lies

    def __init__(
        self, censored: bool = False, *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.censored = bool(censored)
        self.extras = ("censored",) if censored else ()

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """The config's settings, and whether rows may be censored."""
        own = super().arguments_for(config, targets)
        return {**own, "censored": config.censored is not None}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """A regression of log y, about its mean."""
        g = np.log(targets.Y)  # [N, P]
        spread = variance_of(g)
        variance = max(float(np.mean(g**2)), float(spread.mean()))
        level = Level(g.mean(axis=0), variance, float(spread.mean()))
        return LatentStart(g - g.mean(axis=0), variance, spread, level)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        return self._choose(extras, self._log_pdf(F, Y), lambda: self._log_survival(F, Y))

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._choose(
            extras,
            self._expected_log_pdf(f_mean, f_var, Y),
            lambda: self._expected_log_survival(f_mean, f_var, Y),
        )  # [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._choose(
            extras,
            self._predictive_log_pdf(f_mean, f_var, Y),
            lambda: super(PositiveLikelihood, self)._predictive_log_density(
                f_mean, f_var, Y, tf.ones_like(Y[:, :1])
            ),
        )  # [N, P]

    def _choose(self, extras: tuple[tf.Tensor, ...], seen: tf.Tensor, beyond: Any) -> tf.Tensor:
        return tf.where(extras[0] > 0.5, beyond(), seen) if extras else seen

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        m, v, levels = wide(f_mean, f_var, levels)
        reach = 10.0 * tf.sqrt(tf.maximum(v, 0.0)) + self.reach
        found = continuous_quantiles(self._cdf, m, v, levels, m - reach, m + reach, tf.exp)
        return tf.cast(found, self.dtype)  # [N, P, K]

    @abstractmethod
    def _log_pdf(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """log p(y | f), elementwise."""

    @abstractmethod
    def _log_survival(self, F: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """log P(y' > y | f), elementwise."""

    @abstractmethod
    def _cdf(self, y: tf.Tensor, F: tf.Tensor) -> tf.Tensor:
        """P(y' <= y | f), elementwise, float64."""

    @abstractmethod
    def _expected_log_pdf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """E[log p(y | f)], elementwise."""

    def _expected_log_survival(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        return self._expectation(lambda F: self._log_survival(F, Y), f_mean, f_var)

    @abstractmethod
    def _predictive_log_pdf(self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """log E[p(y | f)], elementwise."""
