"""Additive kernels: functions of each input by itself, of each pair, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.config.kernels import kernel_section
from svgp.config.registry import load_class
from svgp.errors import ModelError
from svgp.kernels.base import Kernel
from svgp.kernels.categorical import column_groups
from svgp.kernels.stationary import stationary_covariance
from svgp.parameters import positive


class Additive(Kernel):
    """k = sum_m v_m e_m(z_1, ..., z_G) / C(G, m), m = 1, ..., order (Duvenaud, Nickisch & Rasmussen 2011).

    z_g is a stationary kernel of unit variance of the `kind` on one input (or the one-hot columns of one),
    with `lengthscales` [D], and e_m the elementary symmetric polynomial: the sum of all products of m of
    them. All are found in G x order steps, E_m <- E_m + z_g E_{m-1} (the sums of powers of Newton and
    Girard give the same, with cancellation). `variances` v [order] are those of all functions of m inputs
    together.
    """

    def __init__(
        self,
        kind: type,
        groups: Sequence[Sequence[int]],
        variances: Any = 1.0,
        lengthscales: Any = 1.0,
        *,
        active_dims: Sequence[int] | None = None,
        dtype: tf.DType = tf.float64,
        name: str | None = None,
    ) -> None:
        super().__init__(active_dims=active_dims, dtype=dtype, name=name)
        self._groups = tuple(tuple(int(d) for d in group) for group in groups)
        self._kind = kind
        variances = np.atleast_1d(np.asarray(variances, float))
        if not 1 <= len(variances) <= len(self._groups):
            raise ModelError(
                f"{self.name}: order {len(variances)} for {len(self._groups)} inputs; expected 1 to "
                f"{len(self._groups)}"
            )
        self.order = len(variances)
        self.variances = positive(variances, f"{self.name}.variances", role="variance", dtype=dtype)
        D = sum(len(group) for group in self._groups)
        lengthscales = np.broadcast_to(np.asarray(lengthscales, float), D)
        self.lengthscales = positive(
            lengthscales, f"{self.name}.lengthscales", role="lengthscale", dtype=dtype
        )

    @classmethod
    def arguments(cls, start: Any, stated: dict[str, Any]) -> dict[str, Any]:
        """The same share for each order; one input alone needs shorter lengthscales than all together."""
        groups = column_groups([start.names[column] for column in start.columns])
        order = min(stated["order"], len(groups))
        alone = start.lengthscales / np.sqrt(len(start.columns))
        return {
            "kind": load_class(kernel_section(stated["base"])),
            "groups": groups,
            "variances": np.full(order, stated.get("variance", start.variance) / order),
            "lengthscales": stated.get("lengthscales", alone),
        }

    def _covariance(self, X: tf.Tensor, X2: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor:
        lengthscales = tf.cast(self.lengthscales, tf.float64)
        one = tf.ones([], dtype)
        sums: list[Any] = [1.0] + [0.0] * self.order  # E_0, ..., E_order
        for group in self._groups:
            x = tf.gather(X, group, axis=-1)  # [..., N, g]
            z = None if X2 is None else tf.gather(X2, group, axis=-1)
            own = tf.gather(lengthscales, group, axis=-1)
            k = stationary_covariance(self._kind, x, z, own, one, [], dtype)  # [..., N, N2]
            for m in range(self.order, 0, -1):
                sums[m] = sums[m] + k * sums[m - 1]
        shares = self._shares(dtype)
        return tf.add_n([shares[m] * sums[m + 1] for m in range(self.order)])

    def _variances(self, X: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
        shares, count = self._shares(dtype), len(self._groups)
        total = tf.add_n([shares[m] * float(comb(count, m + 1)) for m in range(self.order)])
        return total * tf.ones(tf.shape(X)[:-1], dtype)  # [..., N]

    def _shares(self, dtype: tf.DType) -> list[tf.Tensor]:
        counts = [float(comb(len(self._groups), m + 1)) for m in range(self.order)]
        return tf.unstack(tf.cast(self.variances, dtype) / tf.constant(counts, dtype))

    def _lengthscales(self, D: int) -> tf.Tensor:
        order = [d for group in self._groups for d in group]
        if len(order) != D:
            raise ModelError(f"{self.name}: {len(order)} lengthscales for inputs with {D} columns")
        return tf.convert_to_tensor(self.lengthscales)
