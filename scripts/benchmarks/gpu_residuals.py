"""Whether the device computes what it should: `python -m benchmarks.gpu_residuals gpu|cpu`.

Residuals relative to the size of the operands, by operation and type, against a bound of a few hundred
roundings; TensorFloat-32, with ten bits, would show in float32 as 1e-3. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial

import numpy as np
import tensorflow as tf

from svgp import linalg
from svgp.linalg.factor import _recurse as recurse
from svgp.models.neighbours.device_conditional import definite_factor

ROUNDINGS = 500.0


def operations(K: tf.Tensor, B: tf.Tensor) -> dict[str, float]:
    """Residual of each operation, in Frobenius norms, for a positive-definite K and any B [M, M]."""
    eye = tf.eye(K.shape[0], dtype=K.dtype)
    L = tf.linalg.cholesky(K)
    Q, R = tf.linalg.qr(B)
    values, vectors = tf.linalg.eigh(K)
    X = tf.linalg.triangular_solve(L, B)
    exact = np.asarray(K, np.float64) @ np.asarray(B, np.float64)  # NumPy's, on the host
    return {
        "gemm": ratio(tf.cast(tf.matmul(K, B), tf.float64) - exact, exact),
        "potrf": ratio(tf.matmul(L, L, transpose_b=True) - K, K),
        "trsm": ratio(tf.matmul(L, X) - B, B),
        "qr": ratio(tf.matmul(Q, R) - B, B),
        "orthogonality": ratio(tf.matmul(Q, Q, transpose_a=True) - eye, eye),
        "eigh": ratio(tf.matmul(vectors * values, vectors, transpose_b=True) - K, K),
        "inverse factor": ratio(tf.matmul(*linalg.lower_and_inverse(K)) - eye, eye),
    }


def ratio(error: tf.Tensor, scale: tf.Tensor) -> float:
    """|error| / |scale|."""
    return float(tf.norm(tf.cast(error, tf.float64)) / tf.norm(tf.cast(scale, tf.float64)))


def failing_cholesky(size: int) -> bool:
    """Whether an indefinite matrix gives NaN and no exception, and `factorise` repairs a singular one."""
    bad = tf.linalg.diag(tf.concat([tf.ones([size - 1], tf.float64), [-1.0]], 0))
    nan = bool(tf.reduce_any(tf.math.is_nan(tf.function(tf.linalg.cholesky)(bad))))
    factor = tf.function(linalg.factorise)(tf.ones([size, size], tf.float64))
    return nan and int(factor.repairs) >= 1 and bool(tf.reduce_all(tf.math.is_finite(factor.L)))


def failing_in_a_batch() -> bool:
    """Whether one of many small matrices that fails is repaired, and the others are as if alone."""
    rng = np.random.default_rng(1)
    B = rng.standard_normal((64, 16, 16))
    C = B @ B.transpose(0, 2, 1) + np.eye(16)
    C[7] = 1.0  # singular
    factor = tf.function(definite_factor)(tf.constant(C), tf.ones([], tf.float64))
    error = np.abs(np.asarray(tf.matmul(factor, factor, transpose_b=True)) - C).max()
    return bool(error < 1e-3) and np.allclose(factor[8:], np.linalg.cholesky(C[8:]), atol=1e-10)


def rate(dtype: tf.DType, size: int) -> float:
    """10^9 operations a second of a matrix product, the best of five."""
    A = tf.random.stateless_normal([size, size], [0, 1], dtype=dtype)
    best = np.inf
    for _ in range(6):
        start = time.perf_counter()
        tf.matmul(A, A)[0, 0].numpy()
        best = min(best, time.perf_counter() - start)
    return 2e-9 * size**3 / best


def leaves(size: int, candidates: tuple[int, ...]) -> dict[str, float]:
    """Milliseconds of a Cholesky factor and its inverse by the size below which it is not halved.

    `svgp.linalg.factor` has 4096 on a GPU, until somebody has seen these.
    """
    K = tf.eye(size, dtype=tf.float64) + tf.ones([size, size], tf.float64) / size
    found = {}
    for leaf in candidates:
        work = tf.function(partial(recurse, leaf=leaf), autograph=False)
        best = np.inf
        for _ in range(4):
            start = time.perf_counter()
            work(K)[1][0, 0].numpy()
            best = min(best, time.perf_counter() - start)
        found[str(leaf)] = round(1e3 * best, 3)
    return found


def main(device: str) -> int:
    found: dict[str, object] = {"devices": [d.name for d in tf.config.list_physical_devices()]}
    gpu = device == "gpu"
    if gpu and not tf.config.list_physical_devices("GPU"):
        print(json.dumps({**found, "error": "TensorFlow sees no GPU"}))
        return 1
    sound = not tf.config.experimental.tensor_float_32_execution_enabled()
    found["tf32"] = not sound
    rng = np.random.default_rng(0)
    with tf.device("/GPU:0" if gpu else "/CPU:0"), linalg.backend("tensorflow"):
        for dtype in (tf.float64, tf.float32):
            size = 1024 if gpu else 96
            B = rng.standard_normal((size, size))
            K = tf.constant(B @ B.T / size + np.eye(size), dtype)
            residuals = operations(K, tf.constant(B, dtype))
            found[dtype.name] = {name: float(f"{value:.2g}") for name, value in residuals.items()}
            limit = ROUNDINGS * float(np.finfo(dtype.as_numpy_dtype).eps)
            sound &= all(value < limit for value in residuals.values())
            found[f"{dtype.name} Gop/s"] = round(rate(dtype, 8192 if gpu else 128), 1)
        sizes, candidates = ((1024, 4096), (128, 512, 1024, 4096)) if gpu else ((96,), (32, 96))
        for size in sizes:
            found[f"ms by leaf, {size} points"] = leaves(size, candidates)
        for size in (100, 300):
            repaired = failing_cholesky(size)
            found[f"failing Cholesky at {size}"] = "NaN, then repaired" if repaired else "wrong"
            sound &= repaired
        repaired = failing_in_a_batch()
        found["failing Cholesky in a batch"] = "NaN, then repaired" if repaired else "wrong"
        sound &= repaired
    print(json.dumps(found))
    return int(not sound)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
