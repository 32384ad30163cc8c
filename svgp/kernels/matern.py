"""Matérn kernels: each with its formula, in TensorFlow and in NumPy, and its adjoint."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from svgp.kernels.stationary import Stationary

Pair = tuple[tf.Tensor, tf.Tensor]


class Matern12(Stationary):
    """k = v exp(-r), continuous and rough: the Ornstein-Uhlenbeck process (R&W 2006, eq. 4.14).

    Its derivative does not exist at r = 0; the gradient there is taken as 0, the mean of both sides.
    """

    scale, factor = 1.0, -0.5
    spectral_degrees = 1.0

    @staticmethod
    def forward(a: tf.Tensor, log_v: tf.Tensor) -> Pair:
        r = tf.sqrt(a)
        return tf.exp(log_v - r), r

    @staticmethod
    def backward(K_bar: tf.Tensor, K: tf.Tensor, r: tf.Tensor) -> Pair:
        products = K_bar * K
        return tf.math.divide_no_nan(products, r), products

    @staticmethod
    def fill(K: np.ndarray, slope: np.ndarray, variance: float) -> None:
        _distance(K)
        E = np.exp(np.log(variance) - K)
        slope[...] = 0.0
        np.divide(E, K, out=slope, where=K > 0.0)
        K[...] = E


class Matern32(Stationary):
    """k = v (1 + s) exp(-s), s = sqrt(3) r, once differentiable (R&W 2006, eq. 4.17)."""

    scale, factor = 3.0, -1.5
    spectral_degrees = 3.0

    @staticmethod
    def forward(a: tf.Tensor, log_v: tf.Tensor) -> Pair:
        s = tf.sqrt(a)
        slope = tf.exp(log_v - s)
        return (1.0 + s) * slope, slope

    @staticmethod
    def backward(K_bar: tf.Tensor, K: tf.Tensor, slope: tf.Tensor) -> Pair:
        return K_bar * slope, K_bar * K

    @staticmethod
    def fill(K: np.ndarray, slope: np.ndarray, variance: float) -> None:
        _distance(K)
        np.subtract(np.log(variance), K, out=slope)
        np.exp(slope, out=slope)
        K += 1.0
        K *= slope


class Matern52(Stationary):
    """k = v (1 + s + s^2 / 3) exp(-s), s = sqrt(5) r, twice differentiable (R&W 2006, eq. 4.17)."""

    scale, factor = 5.0, -5.0 / 6.0
    spectral_degrees = 5.0

    @staticmethod
    def forward(a: tf.Tensor, log_v: tf.Tensor) -> Pair:
        s = tf.sqrt(a)
        E = tf.exp(log_v - s)
        slope = (1.0 + s) * E
        return slope + a * E / 3.0, slope

    @staticmethod
    def backward(K_bar: tf.Tensor, K: tf.Tensor, slope: tf.Tensor) -> Pair:
        return K_bar * slope, K_bar * K

    @staticmethod
    def fill(K: np.ndarray, slope: np.ndarray, variance: float) -> None:
        a = np.maximum(K, 0.0)
        np.sqrt(a, out=K)
        E = np.subtract(np.log(variance), K)
        np.exp(E, out=E)
        np.add(K, 1.0, out=slope)
        slope *= E
        np.multiply(a, E, out=K)
        K *= 1.0 / 3.0
        K += slope


def _distance(K: np.ndarray) -> None:
    np.maximum(K, 0.0, out=K)
    np.sqrt(K, out=K)
