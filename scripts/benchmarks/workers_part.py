"""What each worker of `benchmark_workers` does: python workers_part.py SETTINGS, which are JSON."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

REPEATS = 20  # of a sum that is timed by itself


def pin(cores: list[int]) -> None:
    """To one core, before anything starts threads."""
    task = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, [cores[task % len(cores)]])


def problem(given: SimpleNamespace) -> tuple[Any, np.ndarray, np.ndarray]:
    """A model of smooth data in eight columns, with some noise."""
    from svgp.kernels import Matern32
    from svgp.likelihoods import Gaussian
    from svgp.models import SVGP

    rng = np.random.default_rng(0)
    X = rng.normal(size=(given.rows, 8))
    Y = np.sin(X.sum(axis=1, keepdims=True)) + 0.3 * rng.normal(size=(given.rows, 1))
    kernel = Matern32(1.0, np.linspace(1.0, 2.0, 8))
    return SVGP(kernel, Gaussian(0.1), X[: given.inducing], num_data=given.rows, bound="tight"), X, Y


def minibatch(name: str, given: SimpleNamespace, group: Any) -> tuple[Callable[[], float], list[int]]:
    """A step that waits for its end, and the lengths of the vectors that it sums."""
    from svgp.config.train import TrainConfig
    from svgp.training import make_method

    lengths: list[int] = []
    sum_flat = group.sum_flat

    def counted(x: Any) -> Any:
        lengths.append(int(x.shape[0] or 0))
        return sum_flat(x)

    group.sum_flat = counted  # seen once, when the graph is made
    model, X, Y = problem(given)
    # A rate, so that natgrad takes minibatch steps however many rows a batch has.
    config = TrainConfig(method=name, batch_size=given.batch // group.count, learning_rate=1e-3)
    method = make_method(model, X, Y, config)
    method.advance().values()
    group.sum_flat = sum_flat
    return lambda: float(method.advance().values()[0]), lengths


def collapsed(given: SimpleNamespace, group: Any) -> Callable[[], float]:
    """An evaluation of the bound."""
    from svgp.models.collapsed import CollapsedBound

    bound = CollapsedBound(*problem(given), workers=group)
    bound.evaluate()
    return lambda: bound.evaluate().bound


def timed(step: Callable[[], float], steps: int, group: Any) -> dict[str, float]:
    """Seconds a step, of these in sums outside of graphs, and what the last step gives."""
    group.agree(0.0)
    began, processor, summing = time.perf_counter(), time.process_time(), group.summing_s
    for _ in range(steps):
        value = step()
    return {
        "wall_s": (time.perf_counter() - began) / steps,
        "processor_s": (time.process_time() - processor) / steps,
        "messages_s": (group.summing_s - summing) / steps,
        "value": value,
    }


def sum_s(length: int, group: Any) -> float:
    """Seconds of a sum of vectors `[length]`, by itself."""
    if group.alone or not length:
        return 0.0
    vector, times = np.zeros(length), []
    for _ in range(REPEATS):
        group.agree(0.0)
        began = time.perf_counter()
        group.sum([vector])
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    given = SimpleNamespace(**json.loads(sys.argv[1]))
    pin(given.cores)
    from svgp.workers import joined

    with joined() as group:
        found = {}
        for name in given.methods:
            if name == "collapsed":
                found[name] = timed(collapsed(given, group), max(1, given.steps // 10), group)
                continue
            step, lengths = minibatch(name, given, group)
            found[name] = timed(step, given.steps, group)
            found[name]["messages_s"] += sum(sum_s(length, group) for length in lengths)
        (Path(given.out) / f"{group.index}.json").write_text(json.dumps(found))
        group.agree(0.0)


if __name__ == "__main__":
    main()
