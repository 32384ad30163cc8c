"""Gaussian noise: everything in closed form."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood, NoiseStructure
from svgp.likelihoods.start import LatentStart, Targets, variance_of
from svgp.parameters import positive

LOG_2PI = math.log(2.0 * math.pi)
START_SHARE = 0.1  # of the target's variance is taken for noise at first: a fit can move either way from it
FLOOR_SHARE = 1e-6  # of the target's variance is the least noise variance


class Gaussian(Likelihood):
    """y = f + e, e ~ N(0, variance); E[log p] = log N(y | m, variance) - v / (2 variance).

    `variance`, in units of y squared, is one number or [P] for P outputs, kept above `floor`
    (variance = floor + exp(u)), so that the noise of a near-perfect fit cannot collapse to zero.
    With `per_row` Y has a column after the targets: the standard deviation of the noise that is known of
    each row. Its square is added to `variance` (predictions that are not told it are without it). Raises
    ModelError where `variance` is not above `floor`.
    """

    task = "regression"

    def __init__(
        self,
        variance: Any = 0.1,
        *,
        floor: float = 1e-6,
        per_row: bool = False,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.floor, self.per_row = float(floor), bool(per_row)
        self.extras = ("noise",) if per_row else ()
        self.variance = positive(variance, f"{self.name}.variance", role="noise", low=self.floor, dtype=dtype)

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """Noise variance 0.1 of the targets', or the config's; the floor is 1e-6 of the least of them.

        Beside noise that is known of each row the rest starts at a thousandth of the targets' variance.
        Raises ModelError where the config's noise is not above the floor.
        """
        floor = FLOOR_SHARE * float(targets.variance.min())
        per_row = config.noise is not None
        if config.variance is None:
            start = start_noise(targets.variance)
            return {"variance": 0.01 * start if per_row else start, "floor": floor, "per_row": per_row}
        if config.variance <= floor:
            raise ModelError(
                f"model.likelihood.variance: {config.variance:g} is not above the floor {floor:g} (1e-6 of "
                "the target's variance); start from a larger value"
            )
        return {"variance": config.variance, "floor": floor, "per_row": per_row}

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """A regression: f is the target's mean, with the target's variance."""
        variance = variance_of(targets.Y)
        return LatentStart(targets.Y, float(variance.mean()), variance)

    def arguments(self) -> dict[str, Any]:
        """The floor to the last bit, and a variance that is above it in any precision."""
        shape = tf.convert_to_tensor(self.variance).shape
        return {
            "variance": np.full(shape, self.floor + 1.0).tolist(),
            "floor": self.floor,
            "per_row": self.per_row,
        }

    @property
    def noise(self) -> NoiseStructure:
        """One variance for all outputs, or one for each of them, or known for each row."""
        if self.per_row:
            return "per_row"
        return "shared" if int(np.prod(self.variance.shape)) == 1 else "per_output"

    def noise_variance(self, Y: Any = None) -> tf.Tensor:
        """[] or [P], in units of y squared; [N, 1] or [N, P] of the rows of Y where it is known for each."""
        variance = tf.convert_to_tensor(self.variance)
        return variance + Y[:, -1:] ** 2 if self.per_row and Y is not None else variance

    def _noise(self, F: tf.Tensor, extras: tuple[tf.Tensor, ...] = ()) -> tf.Tensor:
        variance, outputs = tf.convert_to_tensor(self.variance), F.shape[-1]
        if variance.shape.rank and outputs is not None and variance.shape != [outputs]:
            raise ModelError(
                f"{self.name}: noise variance has shape {variance.shape} for {outputs} outputs; "
                f"expected one number or [{outputs}]"
            )
        return variance + extras[0] ** 2 if extras else variance  # [], [P], [N, 1] or [N, P]

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        return log_normal(Y, F, self._noise(F, extras))

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return F, tf.zeros_like(F) + self._noise(F, extras)

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        variance = self._noise(f_mean, extras)
        return -0.5 * (LOG_2PI + tf.math.log(variance) + ((Y - f_mean) ** 2 + f_var) / variance)  # [N, P]

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        return f_mean, f_var + self._noise(f_mean, extras)  # [N, P], [N, P]

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return log_normal(Y, f_mean, f_var + self._noise(f_mean, extras))  # [N, P]

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        deviation = tf.sqrt(f_var + self._noise(f_mean, extras))  # [N, P]
        return f_mean[..., None] + deviation[..., None] * tf.math.ndtri(levels)  # [N, P, Q]


def log_normal(y: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """log N(y | mean, variance), elementwise."""
    return -0.5 * (LOG_2PI + tf.math.log(variance) + (y - mean) ** 2 / variance)


def start_noise(variance: np.ndarray) -> Any:
    """A tenth of the targets' variance [P]: one number for one output."""
    return START_SHARE * (float(variance.item()) if variance.size == 1 else variance)
