"""Deep kernels: a network learns the features between which a kernel measures distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.kernels.base import Kernel
from svgp.kernels.mapped import Mapped
from svgp.networks import Network


class Deep(Mapped):
    """k(x, x') = base(phi(x), phi(x')) with a `Network` phi (Wilson, Hu, Salakhutdinov & Xing 2016).

    Its weights are trained with all else. The evidence guards hyperparameters against overfitting, it does
    not guard thousands of weights: rows that phi pulls together are all explained, and intervals become too
    narrow.
    """

    def __init__(
        self,
        base_kernel: Kernel,
        network: Network,
        *,
        active_dims: Sequence[int] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(base_kernel, active_dims=active_dims, name=name)
        self.network = network

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """Random features of unit deviation, and a base with lengthscales of sqrt(F) among F features."""
        layers = list(stated["layers"])
        network = Network([len(start.columns), *layers], seed=start.seed, dtype=start.dtype)
        if start.rows is not None and len(start.rows):
            network.standardise(start.rows[:1000])
        width = layers[-1]
        inside = replace(
            start,
            names=tuple(f"feature{index + 1}" for index in range(width)),
            all_lengthscales=np.full(width, np.sqrt(width)),
            columns=tuple(range(width)),
            all_rows=None,
            targets=None,
        )
        return {"base_kernel": inside.kernel(stated["base"]), "network": network}

    def map(self, X: tf.Tensor) -> tf.Tensor:
        """The network's features in float64: [..., N, D] -> [..., N, F]."""
        return tf.cast(self.network(X), tf.float64)

    def _lengthscales(self, D: int) -> tf.Tensor:
        # What a network makes of a distance is different from place to place: the unit of the inputs.
        return tf.ones([D], self.dtype)
