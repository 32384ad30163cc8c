"""What a likelihood is: how observations Y arise from function values F."""

from __future__ import annotations

import inspect
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError
from svgp.likelihoods.quadrature import (
    expectation,
    log_expectation,
    product_expectation,
    product_log_expectation,
)
from svgp.likelihoods.start import LatentStart, Targets

NoiseStructure = Literal["shared", "per_output", "per_row"]


class Likelihood(tf.Module):
    """p(y | f), independent over rows and outputs.

    Output p depends on `latents_per_output` = R latent functions of its own: columns `p R` to `p R + R - 1`
    of F [N, Q], Q = P R. Observations Y are [N, P], or [N] where P = 1, and after the P targets the columns
    that `extras` names, one number a row each ("exposure", "trials", "censored", "noise"). Anything else
    raises ModelError: rows are never broadcast against rows. Of several outputs a target of NaN is missing
    and counts for nothing.

    Subclasses give elementwise formulas for F [..., N, P] (R = 1) or [..., N, P, R], Y [N, P] and each extra
    [N, 1]; what has no closed form goes through 20-point Gauss-Hermite quadrature (20 by 20 for R = 2).
    `task` names one of `svgp.data.tasks`; `noise` says whether y is f and Gaussian noise.
    """

    task: str
    latents_per_output: int = 1
    extras: tuple[str, ...] = ()
    exponential_rate: ClassVar[bool] = False  # f is the log of a mean to which the density is Poisson
    harmless: ClassVar[float] = 1.0  # an observation that any f allows: stands where one is missing

    def __init__(self, *, dtype: tf.DType = tf.float64, name: str | None = None) -> None:
        super().__init__(name=name)
        self.dtype = tf.as_dtype(dtype)

    @property
    def noise(self) -> NoiseStructure | None:
        """Of y = f + Gaussian noise, what its variance depends on; None for any other likelihood.

        "shared": one number; "per_output": [P]; "per_row": known for each row, from a column of Y.
        """
        return None

    def noise_variance(self, Y: Any = None) -> tf.Tensor:
        """The variance of Gaussian noise: [], [P], or [N, 1] for the rows of Y. Else raises ModelError."""
        raise ModelError(f"{self.name}: its noise is not Gaussian")

    def num_latent(self, outputs: int) -> int:
        """Q, the number of latent functions that P outputs need."""
        return outputs * self.latents_per_output

    def num_outputs(self, num_latent: int) -> int:
        """P, the outputs of Q latent functions. Raises ModelError where Q does not divide evenly."""
        outputs, rest = divmod(num_latent, self.latents_per_output)
        if rest or not outputs:
            raise ModelError(
                f"{self.name}: {num_latent} latent functions; each output takes {self.latents_per_output}"
            )
        return outputs

    def num_columns(self, num_latent: int) -> int:
        """How many columns Y has: targets and extras."""
        return self.num_outputs(num_latent) + len(self.extras)

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """What the constructor is given: the config's settings; what it leaves open, from the targets."""
        known = inspect.signature(cls.__init__).parameters
        return {name: value for name in known if (value := getattr(config, name, None)) is not None}

    @classmethod
    def restored(cls, config: Any, arguments: Any, dtype: tf.DType) -> Likelihood:
        """One of the structure that `arguments` (of the method of that name) told; its values come later."""
        return cls(**arguments, dtype=dtype)

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """Where f starts. By default at a prior of variance 1, with lengthscales by rule of thumb."""
        return LatentStart(None, 1.0, np.ones(targets.outputs))

    def arguments(self) -> dict[str, Any]:
        """Plain data with which the constructor makes a likelihood of the same structure."""
        names = [name for name in inspect.signature(type(self).__init__).parameters if hasattr(self, name)]
        return {name: _plain(getattr(self, name)) for name in names if name not in ("self", "dtype", "name")}

    def log_prob(self, F: Any, Y: Any) -> tf.Tensor:
        """log p(Y | F), natural log, summed over outputs. Shapes: F [N, Q], Y [N, P] -> [N]."""
        F, _, Y, extras = self._matched(F, None, Y)
        return self._summed(self._log_density(F, self._filled(Y), *extras), Y)  # [N]

    def expected_log_likelihood(self, f_mean: Any, f_var: Any, Y: Any) -> tf.Tensor:
        """E[log p(Y | f)] under f ~ N(f_mean, f_var), the data term of the ELBO.

        Shapes: f_mean, f_var [N, Q], Y [N, P] -> [N].
        """
        f_mean, f_var, Y, extras = self._matched(f_mean, f_var, Y)
        return self._summed(self._expected_log_density(f_mean, f_var, self._filled(Y), *extras), Y)  # [N]

    def predict_log_density(self, f_mean: Any, f_var: Any, Y: Any) -> tf.Tensor:
        """log E[p(Y | f)] under f ~ N(f_mean, f_var). Shapes: f_mean, f_var [N, Q], Y [N, P] -> [N]."""
        f_mean, f_var, Y, extras = self._matched(f_mean, f_var, Y)
        return self._summed(self._predictive_log_density(f_mean, f_var, self._filled(Y), *extras), Y)  # [N]

    def predict_mean_and_var(
        self, f_mean: Any, f_var: Any, extras: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of y under f ~ N(f_mean, f_var). Shapes: [N, Q] -> [N, P], [N, P].

        `extras` [N, E]: the columns after the targets in Y; None: their defaults (see the likelihood).
        """
        f_mean, f_var, told = self._latents(f_mean, f_var, extras)
        return self._predictive_moments(f_mean, f_var, *told)  # [N, P], [N, P]

    def conditional_mean(self, F: Any) -> tf.Tensor:
        """E[y | f], the mean of observations where the function is F [..., N, Q]: [..., N, P]."""
        return self._moments(self._by_output(self._tensor(F)))[0]

    def predict_quantiles(
        self, f_mean: Any, f_var: Any, levels: Sequence[float], extras: Any = None
    ) -> tf.Tensor:
        """Quantiles of y at probabilities `levels` under f ~ N(f_mean, f_var), nondecreasing in the level.

        Shapes: f_mean, f_var [N, Q], K levels -> [N, P, K]; `extras` as in `predict_mean_and_var`. Raises
        ModelError where a level is not strictly between 0 and 1, or where y is a class.
        """
        probabilities = np.asarray(levels, self.dtype.as_numpy_dtype).reshape(-1)
        if not np.all((probabilities > 0.0) & (probabilities < 1.0)):
            raise ModelError(f"{self.name}: quantile levels must lie between 0 and 1, got {list(levels)}")
        f_mean, f_var, told = self._latents(f_mean, f_var, extras)
        return self._quantiles(f_mean, f_var, tf.constant(probabilities), *told)  # [N, P, K]

    def class_probabilities(self, f_mean: Any, f_var: Any) -> tf.Tensor:
        """P(y = k) under f ~ N(f_mean, f_var): [N, Q] -> [N, K]. Raises ModelError where y is no class."""
        raise ModelError(f"{self.name}: its observations are no classes")

    @abstractmethod
    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        """log p(y | f), elementwise; F may have leading dimensions more than Y."""

    @abstractmethod
    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of y given f, elementwise."""

    @abstractmethod
    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        """Quantiles of y, [N, P, K]."""

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._expectation(lambda F: self._log_density(F, Y, *extras), f_mean, f_var)  # [N, P]

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        mean = self._expectation(lambda F: self._moments(F, *extras)[0], f_mean, f_var)  # [N, P]
        # The law of total variance, centred: no difference of large squares.
        variance = self._expectation(
            lambda F: self._moments(F, *extras)[1] + (self._moments(F, *extras)[0] - mean) ** 2, f_mean, f_var
        )
        return mean, variance

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        kind = log_expectation if self.latents_per_output == 1 else product_log_expectation
        return kind(lambda F: self._log_density(F, Y, *extras), f_mean, f_var)  # [N, P]

    def _expectation(self, function: Any, f_mean: tf.Tensor, f_var: tf.Tensor) -> tf.Tensor:
        kind = expectation if self.latents_per_output == 1 else product_expectation
        return kind(function, f_mean, f_var)  # [N, P]

    def _tensor(self, value: Any) -> tf.Tensor:
        return tf.cast(tf.convert_to_tensor(value, dtype_hint=self.dtype), self.dtype)

    def _by_output(self, F: tf.Tensor) -> tf.Tensor:
        """[N, Q] as [N, P, R] where an output has several latents."""
        if self.latents_per_output == 1:
            return F
        outputs = self.num_outputs(F.shape[-1])
        apart = tf.reshape(F, tf.concat([tf.shape(F)[:-1], [outputs, self.latents_per_output]], 0))
        return tf.ensure_shape(apart, [*F.shape[:-1], outputs, self.latents_per_output])

    def _latents(self, f_mean: Any, f_var: Any, extras: Any) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Latents by output, and the extras that were told, [N, 1] each; none where they were not."""
        f_mean, f_var = self._by_output(self._tensor(f_mean)), self._by_output(self._tensor(f_var))
        if extras is None:
            return f_mean, f_var, []
        told = self._tensor(extras)
        if told.shape.rank != 2 or told.shape[1] != len(self.extras):
            raise ModelError(
                f"{self.name}: extras have shape {told.shape}; expected [N, {len(self.extras)}] for "
                f"{', '.join(self.extras) or 'a likelihood without any'}"
            )
        return f_mean, f_var, [told[:, place : place + 1] for place in range(len(self.extras))]

    def _filled(self, Y: tf.Tensor) -> tf.Tensor:
        """Y with a harmless value where one of several is missing."""
        if Y.shape[-1] == 1:
            return Y
        return tf.where(tf.math.is_nan(Y), tf.constant(self.harmless, Y.dtype), Y)

    def observed(self, Y: tf.Tensor) -> tf.Tensor:
        """Which targets of Y [N, P + E] are there, [N, P]."""
        targets = Y[:, : Y.shape[-1] - len(self.extras)] if self.extras else Y
        return tf.logical_not(tf.math.is_nan(targets))

    def _summed(self, values: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        """The sum over the outputs that are there, of values [N, P]: [N]."""
        if Y.shape[-1] != 1:
            values = tf.where(tf.math.is_nan(Y), tf.zeros_like(values), values)
        return tf.reduce_sum(values, -1)

    def _matched(self, F: Any, f_var: Any, Y: Any) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """F and its variance (F again where None) by output, targets [N, P] and extras [N, 1] of Y."""
        F, Y = self._tensor(F), self._tensor(Y)
        f_var = F if f_var is None else self._tensor(f_var)
        columns = Y[:, None] if Y.shape.rank == 1 else Y  # [N, P + E]
        self._check_shapes(F, f_var, Y, columns)
        if not (F.shape.is_fully_defined() and columns.shape.is_fully_defined()):
            # Rows that are known only when the graph runs must fail there, not broadcast: here nothing is put
            # beside each row of Y, and the name is what the error shows. An assertion is a branch with two
            # graphs of its own, and XLA leaves it out.
            nothing = tf.stop_gradient(F)[:, :0]  # [N, 0]
            columns = tf.concat([columns, nothing], -1, name="rows_of_F_and_Y_differ")
        if not self.extras:
            return self._by_output(F), self._by_output(f_var), columns, []
        first = columns.shape[-1] - len(self.extras)
        extras = [columns[:, place : place + 1] for place in range(first, columns.shape[-1])]
        return self._by_output(F), self._by_output(f_var), columns[:, :first], extras

    def _check_shapes(self, F: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, columns: tf.Tensor) -> None:
        fits = (
            F.shape.rank == 2
            and columns.shape.rank == 2
            and F.shape[:1].is_compatible_with(columns.shape[:1])
        )
        if not fits or None in (F.shape[-1], columns.shape[-1]) or not self._divides(F, columns):
            each = "" if self.latents_per_output == 1 else f", {self.latents_per_output} a target"
            more = f" and the columns {', '.join(self.extras)}" if self.extras else ""
            raise ModelError(
                f"{self.name}: function values have shape {F.shape} and observations {Y.shape}; "
                f"expected [N, P] for both (or [N] where P = 1): one column for each latent GP{each}{more}"
            )
        if not F.shape.is_compatible_with(f_var.shape):
            raise ModelError(
                f"{self.name}: means have shape {F.shape}, variances {f_var.shape}; expected the same"
            )

    def _divides(self, F: tf.Tensor, columns: tf.Tensor) -> bool:
        outputs = columns.shape[-1] - len(self.extras)
        return outputs > 0 and F.shape[-1] == outputs * self.latents_per_output


def _plain(value: Any) -> Any:
    if hasattr(value, "bijector") or isinstance(value, (tf.Tensor, tf.Variable)):
        value = tf.convert_to_tensor(value).numpy()
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value
