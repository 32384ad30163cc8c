"""Do hyperparameters and Z, as trained, predict classes of rows left out better than others would?

A label has no noise that would take up what inducing points leave open. Where they are few for the rows, the
bound pays for that by functions that they can explain, longer and of less variance than predict best. So some
rows are left out, q(u) is brought to its best on the others, and values are taken that predict the rows left
out better than the trained ones, by more than chance: those that training began with, or with these one
lengthscale in the unit that all inputs share, where they do (`svgp.models.start.one_unit`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.budget import JUDGED_FROM as FEWEST
from svgp.budget import JUDGED_TASKS as TASKS
from svgp.budget import can_judge
from svgp.kernels.stationary import Stationary
from svgp.workers import present

SHARE, MOST = 0.25, 1000  # of the rows that are left out; left out at most
ERRORS = 2.0  # standard errors of the mean difference
RESTORED = (
    "hyperparameters and inducing points are those that training began with, or with one lengthscale in the "
    "unit of the inputs: these predict rows left out better than what the bound prefers"
)


class HeldOut:
    """Hyperparameters and Z of a dual `posterior` where training began, and rows that judge them.

    X [N, D], Y [N, P] are all training rows. `applies` says for which models it is worth its seconds.
    """

    def __init__(self, posterior: Any, X: np.ndarray, Y: np.ndarray, seed: int) -> None:
        self.posterior, self.model = posterior, posterior.model
        start = [variable.numpy() for variable in posterior.hyperparameters]
        self.candidates = [start, *_in_common_unit(posterior, start)]
        order = np.random.default_rng([seed, 31]).permutation(len(X))
        judges, fitted = np.split(order, [min(int(SHARE * len(X)), MOST)])
        self._judges = X[judges], Y[judges]
        self._fitted = X[fitted], Y[fitted]
        self._settled = tf.function(self._settle, autograph=False)

    @staticmethod
    def applies(model: Any, rows: int, config: Any) -> bool:
        """Classes, enough rows, one worker, and time for it by `config`, the run's `train` section."""
        labels = model.likelihood.task in TASKS and not model.outputs.mixes
        enough = rows >= FEWEST and can_judge(config, rows, model.num_inducing, model.num_latent)
        return labels and enough and present().alone

    def better(self) -> list[np.ndarray] | None:
        """The candidate that is better than the present values, or None: what `restore` takes.

        Hyperparameters and Z are left as they were, the model's q(u) is that of the rows kept.
        """
        trained = [variable.numpy() for variable in self.posterior.hyperparameters]
        now, chosen = self._log_density(trained), None
        least = now
        for candidate in self.candidates:
            found = self._log_density(candidate)
            gain = found - now  # [n]
            clear = gain.mean() > ERRORS * gain.std() / np.sqrt(len(gain))  # False for NaN
            if clear and (chosen is None or found.mean() > least.mean()):
                chosen, least = candidate, found
        self.restore(trained)
        return chosen

    def restore_better(self) -> bool:
        """Give hyperparameters and Z the values that are better, where some are; whether it did."""
        better = self.better()
        if better is not None:
            self.restore(better)
        return better is not None

    def restore(self, values: list[np.ndarray]) -> None:
        """Give hyperparameters and Z these values."""
        for variable, value in zip(self.posterior.hyperparameters, values, strict=True):
            variable.assign(value)

    def _log_density(self, values: list[np.ndarray]) -> np.ndarray:
        """Of the rows left out, [n], at these hyperparameters and Z and the best q(u) for the other rows."""
        self.restore(values)
        dtype = self.model.Z.dtype
        self._settled(*(tf.constant(x, dtype) for x in self._fitted))
        found = self.model.predict_log_density(tuple(tf.constant(x, dtype) for x in self._judges))
        return np.asarray(found, np.float64).reshape(len(self._judges[0]), -1).sum(axis=1)

    def _settle(self, X: tf.Tensor, Y: tf.Tensor) -> None:
        self.posterior.publish(X, Y, whole=True)


def _in_common_unit(posterior: Any, start: list[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The start with lengthscales that are one in the unit of the inputs, where each has one."""
    lengths, kernel = posterior.model.common_lengths, posterior.model.kernel
    if lengths is None or not isinstance(kernel, Stationary) or kernel.lengthscales.shape != lengths.shape:
        return
    own = kernel.lengthscales.pretransformed_input
    if any(variable is own for variable in posterior.hyperparameters):
        value = kernel.lengthscales.bijector.inverse(tf.constant(lengths, kernel.dtype)).numpy()
        pairs = zip(posterior.hyperparameters, start, strict=True)
        yield [value if variable is own else before for variable, before in pairs]
