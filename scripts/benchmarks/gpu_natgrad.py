"""Steps of natural gradients in float64 and with float32 batches: `python -m benchmarks.gpu_natgrad gpu|cpu`.

Counts, 8 inputs. For each precision the seconds of a step, whether XLA compiled it, and the bound after some
steps, which must agree to 1e-2 nats a row: float32 kernel matrices are a part of that. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import tensorflow as tf

from benchmarks.gpu_collapsed import INPUTS
from svgp import linalg
from svgp.config import TrainConfig
from svgp.kernels import Matern32
from svgp.likelihoods import Poisson
from svgp.models import SVGP
from svgp.training import make_method

STEPS, AGREEMENT = 10, 1e-2
PRECISIONS = {"float64": tf.float64, "mixed": tf.float32}


def steps(dtype: tf.DType, rows: int, points: int, batch: int) -> dict[str, object]:
    """What a few steps took, and the bound that they reached."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, INPUTS))
    Y = rng.poisson(np.exp(np.sin(X[:, :1]))).astype(float)
    kernel = Matern32(variance=0.5, lengthscales=np.full(INPUTS, 2.0))
    model = SVGP(kernel, Poisson(), X[:points], num_data=rows, jitter=1e-5, batch_dtype=dtype)
    config = TrainConfig(method="natgrad", batch_size=batch, learning_rate=0.01)
    method = make_method(model, X, Y, config)
    method.advance().values()  # which compiles
    started = time.perf_counter()
    records = [method.advance() for _ in range(STEPS)]
    elbo = float(records[-1].values()[0])
    taken = (time.perf_counter() - started) / STEPS
    xla = method.compiled_step.xla or method.compiled_step.why or "not asked for"
    return {
        "seconds a step": round(taken, 4),
        "ELBO a row": elbo / rows,
        "xla": xla,
        "retries": method.retries,
    }


def main(device: str) -> int:
    gpu = device == "gpu"
    sizes = (100_000, 1024, 4096) if gpu else (2000, 24, 256)
    with tf.device("/GPU:0" if gpu else "/CPU:0"), linalg.backend("auto" if gpu else "tensorflow"):
        found = {name: steps(dtype, *sizes) for name, dtype in PRECISIONS.items()}
    values = [float(x["ELBO a row"]) for x in found.values()]  # type: ignore[arg-type]
    apart = abs(values[0] - values[1])
    print(json.dumps({**found, "apart": apart}))
    return int(not apart < AGREEMENT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
