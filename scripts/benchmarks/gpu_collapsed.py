"""The collapsed bound and its gradient on the device: `python -m benchmarks.gpu_collapsed gpu|cpu`.

Matérn 3/2, 8 inputs, Gaussian noise, tight bound. First 10^5 rows on the device and on the host, whose
answers must agree to 1e-8; then the seconds of one evaluation at 10^6 and 10^7 rows. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import tensorflow as tf

from svgp import linalg
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.collapsed import CollapsedBound

INPUTS, AGREEMENT = 8, 1e-8


def problem(rows: int, points: int) -> tuple[SVGP, np.ndarray, np.ndarray]:
    """A model and rows that it could have made, roughly."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, INPUTS))
    Y = np.sin(X @ rng.standard_normal((INPUTS, 3))).sum(1, keepdims=True) + 0.3 * rng.standard_normal(
        (rows, 1)
    )
    kernel = Matern32(variance=1.5, lengthscales=np.full(INPUTS, 2.0))
    return SVGP(kernel, Gaussian(0.1), X[:points], num_data=rows, bound="tight"), X, Y


def difference(rows: int, points: int) -> float:
    """The largest relative difference of value and gradient between device and host."""
    model, X, Y = problem(rows, points)
    with linalg.backend("tensorflow"):
        ours = CollapsedBound(model, X, Y).evaluate()
    with linalg.backend("host"):
        host = CollapsedBound(model, X, Y).evaluate()
    pairs = zip(
        [np.asarray(ours.bound), *ours.gradients], [np.asarray(host.bound), *host.gradients], strict=True
    )
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def seconds(rows: int, points: int) -> float:
    """Of one evaluation, after one that compiles."""
    model, X, Y = problem(rows, points)
    CollapsedBound(model, X[: 4 * points], Y[: 4 * points]).evaluate()
    bound = CollapsedBound(model, X, Y)
    bound.evaluate()
    start = time.perf_counter()
    bound.evaluate()
    return time.perf_counter() - start


def main(device: str) -> int:
    gpu = device == "gpu"
    found: dict[str, object] = {}
    with tf.device("/GPU:0" if gpu else "/CPU:0"):
        error = difference(100_000, 1024) if gpu else difference(600, 64)
        found["difference from the host"] = error
        with linalg.backend("auto" if gpu else "tensorflow"):
            cases = [(10**6, 1024), (10**6, 2048), (10**7, 1024)] if gpu else [(2000, 64)]
            for rows, points in cases:
                taken = seconds(rows, points)
                found[f"{rows} rows, {points} points, seconds"] = round(taken, 3)
                print(f"{rows} rows, {points} points: {taken:.3f} s", flush=True)
    print(json.dumps(found))
    return int(not error < AGREEMENT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
