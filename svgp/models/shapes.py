"""What a caller may pass, turned into the shapes that the model computes with, or refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import ModelError


def as_inputs(X: Any, name: str, dtype: tf.DType, columns: int | None = None) -> tf.Tensor:
    """X as a matrix [N, D] of `dtype`. Raises ModelError for another rank or number of columns."""
    X = tf.convert_to_tensor(X, dtype_hint=dtype)  # the hint: lists of numbers would pass through float32
    if X.dtype != dtype:
        X = tf.cast(X, dtype)
    if X.shape.rank != 2:
        raise ModelError(
            f"{name} has shape {X.shape}; expected [rows, columns] (use {name}[:, None] for one column)"
        )
    if columns is not None and X.shape[1] is not None and X.shape[1] != columns:
        raise ModelError(f"{name} has {X.shape[1]} columns; the inducing points have {columns}")
    return X


def as_points(Z: Any, dtype: tf.DType) -> tf.Tensor:
    """Inducing inputs [M, D], or [L, M, D] of latent GPs with points of their own. Raises ModelError."""
    Z = tf.convert_to_tensor(Z, dtype_hint=dtype)
    if Z.shape.rank != 3:
        return as_inputs(Z, "Z", dtype)
    return Z if Z.dtype == dtype else tf.cast(Z, dtype)


def as_data(data: tuple[Any, Any], columns: int, dtype: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
    """(X [N, D], Y [N, P]) of `dtype`; Y [N] becomes [N, 1], so that nothing broadcasts to [N, N]."""
    try:
        X, Y = data
    except (TypeError, ValueError) as error:
        raise ModelError("data must be a pair (X, Y)") from error
    X = as_inputs(X, "X", dtype, columns)
    Y = tf.convert_to_tensor(Y, dtype_hint=dtype)
    Y = Y if Y.dtype == dtype else tf.cast(Y, dtype)
    Y = Y[:, None] if Y.shape.rank == 1 else Y
    if Y.shape.rank != 2 or (None not in (X.shape[0], Y.shape[0]) and X.shape[0] != Y.shape[0]):
        raise ModelError(
            f"X has shape {X.shape} and Y {Y.shape}; expected [N, D] and [N, P], or [N] for one output"
        )
    return X, Y


def as_q_mean(q_mean: Any, latents: int, size: int, dtype: tf.DType) -> np.ndarray:
    """q_mean as [L, M]; [M] and, where unambiguous, [M, L] are taken too. Raises ModelError."""
    if q_mean is None:
        return np.zeros((latents, size), dtype.as_numpy_dtype)
    value = np.asarray(q_mean, dtype.as_numpy_dtype)
    if value.ndim == 1:
        value = value[None]
    if value.shape == (size, latents) and value.shape != (latents, size):
        value = value.T
    if value.shape != (latents, size):
        raise ModelError(f"q_mean has shape {np.shape(q_mean)}; expected [L, M] = [{latents}, {size}]")
    return np.ascontiguousarray(value)


def as_q_sqrt(q_sqrt: Any, latents: int, size: int, diagonal: bool, dtype: tf.DType) -> np.ndarray:
    """q_sqrt as [L, M, M] lower triangular, or [L, M] where diagonal. Raises ModelError."""
    shape = (latents, size) if diagonal else (latents, size, size)
    if q_sqrt is None:
        root = np.ones(size) if diagonal else np.eye(size)
        return np.ascontiguousarray(np.broadcast_to(root, shape), dtype.as_numpy_dtype)
    value = np.asarray(q_sqrt, dtype.as_numpy_dtype)
    if value.shape == shape[1:]:
        value = np.broadcast_to(value, shape)
    if diagonal and value.shape == (size, latents):
        value = value.T
    if value.shape != shape:
        raise ModelError(f"q_sqrt has shape {np.shape(q_sqrt)}; expected {list(shape)}")
    if not diagonal and np.any(np.triu(value, 1)):
        raise ModelError(
            "q_sqrt has entries above its diagonal; expected a lower triangle (its Cholesky factor)"
        )
    return np.ascontiguousarray(value)
