"""A likelihood of its own for each of several outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.config.registry import load_class
from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.start import LatentStart, Targets


class Switched(Likelihood):
    """Output p is observed through `parts[p]`, and depends on latent function p alone.

    All parts have one latent function, no further columns, and one task. Raises ModelError otherwise, and
    where there are not as many as outputs.
    """

    def __init__(
        self, parts: Sequence[Likelihood], *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.parts = list(parts)
        for part in self.parts:
            if part.latents_per_output != 1 or part.extras or part.task != self.parts[0].task:
                raise ModelError(
                    f"switched: {type(part).__name__} cannot be one of several likelihoods; expected parts "
                    "of one task, each with one latent function and no column beside its target"
                )
        if not self.parts:
            raise ModelError("switched: expected a likelihood for each output, got none")
        self.task = self.parts[0].task

    @classmethod
    def arguments_for(cls, config: Any, targets: Targets) -> dict[str, Any]:
        """Each part as its own section says, from its own target."""
        columns = _columns_of(config, targets)
        kinds = [load_class(part) for part in config.parts]
        made = zip(kinds, config.parts, columns, strict=True)
        return {"parts": [kind(**kind.arguments_for(part, column)) for kind, part, column in made]}

    @classmethod
    def restored(cls, config: Any, arguments: Any, dtype: tf.DType) -> Switched:
        """Of the structure that `arguments` told."""
        made = zip(config.parts, arguments["parts"], strict=True)
        parts = [load_class(part).restored(part, told, dtype) for part, told in made]
        return cls(parts, dtype=dtype)

    @classmethod
    def latent_start(cls, config: Any, targets: Targets) -> LatentStart:
        """What each part says of its own target, side by side."""
        found = [
            load_class(part).latent_start(part, column)
            for part, column in zip(config.parts, _columns_of(config, targets), strict=True)
        ]
        known = [one.regressed for one in found if one.regressed is not None]
        regressed = np.hstack(known) if len(known) == len(found) else None
        variance = float(np.mean([one.variance for one in found]))
        return LatentStart(regressed, variance, np.concatenate([one.spread for one in found]))

    def arguments(self) -> dict[str, Any]:
        """Those of the parts."""
        return {"parts": [part.arguments() for part in self.parts]}

    def _divides(self, F: tf.Tensor, columns: tf.Tensor) -> bool:
        return F.shape[-1] == columns.shape[-1] == len(self.parts)

    def _each(self, function: Callable[[Likelihood, slice], tf.Tensor], axis: int = -1) -> tf.Tensor:
        found = [function(part, slice(place, place + 1)) for place, part in enumerate(self.parts)]
        return tf.concat(found, axis)

    def _log_density(self, F: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor) -> tf.Tensor:
        return self._each(lambda part, p: part._log_density(F[..., p], Y[..., p]))

    def _moments(self, F: tf.Tensor, *extras: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean = self._each(lambda part, p: part._moments(F[..., p])[0])
        return mean, self._each(lambda part, p: part._moments(F[..., p])[1])

    def _expected_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._each(lambda part, p: part._expected_log_density(f_mean[:, p], f_var[:, p], Y[:, p]))

    def _predictive_moments(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, *extras: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        found = [
            part._predictive_moments(f_mean[:, p : p + 1], f_var[:, p : p + 1])
            for p, part in enumerate(self.parts)
        ]
        mean, variance = zip(*found, strict=True)
        return tf.concat(mean, 1), tf.concat(variance, 1)

    def _predictive_log_density(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, Y: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._each(lambda part, p: part._predictive_log_density(f_mean[:, p], f_var[:, p], Y[:, p]))

    def _quantiles(
        self, f_mean: tf.Tensor, f_var: tf.Tensor, levels: tf.Tensor, *extras: tf.Tensor
    ) -> tf.Tensor:
        return self._each(lambda part, p: part._quantiles(f_mean[:, p], f_var[:, p], levels), axis=1)


def _columns_of(config: Any, targets: Targets) -> list[Targets]:
    """The targets apart. Raises ModelError where there are not as many as parts."""
    if targets.outputs != len(config.parts):
        raise ModelError(
            f"model.likelihood.parts: {len(config.parts)} likelihoods for {targets.outputs} targets; "
            "expected one for each, in the order of data.target"
        )
    variance = np.broadcast_to(targets.variance, targets.outputs)
    return [
        Targets(targets.Y[:, p : p + 1], targets.extras, targets.classes, variance[p : p + 1])
        for p in range(targets.outputs)
    ]
