"""The squared exponential kernel."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from svgp.kernels.stationary import Stationary


class SquaredExponential(Stationary):
    """k = v exp(-r^2 / 2), infinitely smooth (Rasmussen & Williams 2006, eq. 4.9)."""

    scale, factor, separate_slope = 0.5, -0.5, False
    spectral_degrees = math.inf

    @staticmethod
    def forward(a: tf.Tensor, log_v: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.exp(log_v - a), a

    @staticmethod
    def backward(K_bar: tf.Tensor, K: tf.Tensor, a: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        products = K_bar * K
        return products, products

    @staticmethod
    def fill(K: np.ndarray, slope: np.ndarray, variance: float) -> None:
        np.maximum(K, 0.0, out=K)
        np.subtract(np.log(variance), K, out=K)
        np.exp(K, out=K)
