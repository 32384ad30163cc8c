"""A small network as a mean function."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from svgp.means.functions import Mean
from svgp.means.start import MeanStart
from svgp.networks import Network


class NetworkMean(Mean):
    """m(x) = `network`(x): dense layers with tanh between them, one value for each latent GP."""

    def __init__(self, network: Network, *, name: str | None = None) -> None:
        super().__init__(dtype=network.dtype, name=name)
        self.network = network

    @classmethod
    def arguments(cls, start: MeanStart, stated: dict[str, Any]) -> dict[str, Any]:
        """Random hidden layers, and a last one of zeros: the mean starts at zero."""
        sizes = [start.num_inputs, *stated["layers"], start.num_latent]
        network = Network(sizes, seed=start.seed, dtype=stated.pop("dtype"))
        network.weights[-1].assign(tf.zeros_like(network.weights[-1]))
        return {"network": network}

    def __call__(self, X: Any) -> tf.Tensor:
        return self.network(X)  # [N, L]
