"""How wide predictions should be: two scalars and a shape for each output, told by rows left out of q(u).

For Gaussian noise s2, `variance of y = s + beta d + c s2` (s: what q(u) leaves, d: what the inducing points,
or neighbours, leave unexplained), and y lies around its mean like a mixture of normals
(`svgp.models.predictive.tails`) that wide. Nothing here touches the ELBO: model and q(u) stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from svgp.likelihoods.scale_mixture import ScaleMixture


@dataclass(frozen=True, eq=False)
class Calibration:
    """c and beta of each function of the likelihood, and the shape of errors. Ones: the model as it is."""

    noise: np.ndarray  # [Q] c
    residual: np.ndarray  # [Q] beta
    scales: np.ndarray  # [P, K] of the mixture
    weights: np.ndarray  # [P, K]

    @staticmethod
    def none(latents: int) -> Calibration:
        """Nothing is changed."""
        return Calibration(*np.ones((2, latents)), *np.ones((2, latents, 1)))

    @property
    def is_normal(self) -> bool:
        """Whether errors are taken for normal."""
        return bool(np.all(self.scales == 1.0))

    @property
    def changes_noise(self) -> bool:
        """Whether y needs another likelihood than the model's."""
        return not self.is_normal or bool(np.any(self.noise != 1.0))

    def likelihood(self, likelihood: Any) -> Any:
        """`likelihood`, or for Gaussian noise what c and the shape make of it."""
        if not self.changes_noise:
            return likelihood
        variance = self.noise * np.asarray(likelihood.noise_variance(), np.float64)  # [P]
        return ScaleMixture(variance, self.scales, self.weights, dtype=likelihood.dtype)

    def arrays(self) -> dict[str, np.ndarray]:
        """For a file; `Calibration(**arrays)` comes back from it."""
        return {name: np.ascontiguousarray(value) for name, value in vars(self).items()}
