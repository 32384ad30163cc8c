"""A likelihood of its own for each of several outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.config.registry import load_class
from svgp.errors import ModelError
from svgp.likelihoods.base import Likelihood
from svgp.likelihoods.start import LatentStart, Level, Targets, variance_of


class Switched(Likelihood):
    """Output p is observed through `parts[p]`, and depends on latent function p alone.

    All parts have one latent function, no further columns, and observations that are numbers. Raises
    ModelError otherwise, and where there are not as many as outputs.
    """

    def __init__(
        self, parts: Sequence[Likelihood], *, dtype: tf.DType = tf.float64, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name)
        self.parts = list(parts)
        for part in self.parts:
            labels = part.task in ("binary", "multiclass", "ordinal")
            if part.latents_per_output != 1 or part.extras or labels:
                raise ModelError(
                    f"switched: {type(part).__name__} cannot be one of several likelihoods; expected parts "
                    "for numbers, each with one latent function and no column beside its target"
                )
        if not self.parts:
            raise ModelError("switched: expected a likelihood for each output, got none")
        tasks = {part.task for part in self.parts}
        self.task = tasks.pop() if len(tasks) == 1 else "mixed"

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
        """What each part says of its own target, side by side; of one that says nothing the target itself."""
        columns = _columns_of(config, targets)
        named = zip(config.parts, columns, strict=True)
        found = [load_class(part).latent_start(part, column) for part, column in named]
        regressed, spread = [], []
        for one, column in zip(found, columns, strict=True):
            regressed.append(column.Y if one.regressed is None else one.regressed)
            spread.append(variance_of(column.Y) if one.regressed is None else one.spread)
        variance = np.array([one.variance for one in found])
        level = _levels([one.level for one in found])
        return LatentStart(np.hstack(regressed), variance, np.concatenate(spread), level)

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


def _levels(parts: list[Level | None]) -> Level | None:
    """Of each part's own latent: one without a level starts at its prior."""
    if not any(parts):
        return None
    mean = np.array([0.0 if level is None else float(np.ravel(level.mean)[0]) for level in parts])
    around = np.array([np.inf if level is None else float(np.max(level.around)) for level in parts])
    return Level(mean, max(level.square for level in parts if level is not None), around)


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
