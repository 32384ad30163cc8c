"""What is known when a mean function is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


def _zeros() -> np.ndarray:
    return np.zeros(1)


def _ones() -> np.ndarray:
    return np.ones(1)


@dataclass(frozen=True)
class MeanStart:
    """D inputs by their names, L latent functions, and how the table's columns were scaled: [D] and [P]."""

    names: Sequence[str]
    num_latent: int = 1
    seed: int = 0
    input_mean: np.ndarray = field(default_factory=_zeros)
    input_scale: np.ndarray = field(default_factory=_ones)
    target_mean: np.ndarray = field(default_factory=_zeros)
    target_scale: np.ndarray = field(default_factory=_ones)

    @property
    def num_inputs(self) -> int:
        """D."""
        return len(self.names)
