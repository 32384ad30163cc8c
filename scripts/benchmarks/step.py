"""Times training steps: cases, interleaved rounds, and what became of them."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.step_case import SHORT, Case
from benchmarks.worker import Worker, WorkerFailed, closing_all

MODULES = {
    "ours": "step_ours",
    "ours XLA": "step_ours_xla",
    "GPflow": "step_gpflow",
    "GPyTorch": "step_gpytorch",
    "GPJax": "step_gpjax",
}
PEERS = ("GPflow", "GPyTorch", "GPJax")
MATMUL_SIZE = 2048
EQUAL = 1e-7  # relative, ours against GPflow in float64


@dataclass
class Result:
    """What one case gave, for each library by name."""

    case: Case
    seconds: dict[str, list[float]] = field(default_factory=dict)  # one a round
    peak_mib: dict[str, float] = field(default_factory=dict)
    loaded_mib: dict[str, float] = field(default_factory=dict)  # before the case
    differences: dict[str, float] = field(default_factory=dict)  # GPflow's gradients against ours, relative
    elbo_differences: dict[str, float] = field(default_factory=dict)  # each peer's ELBO against ours
    failures: dict[str, str] = field(default_factory=dict)
    clock: str = "seconds"  # or processor: seconds of all threads


class Machine:
    """The best rates of matrix products seen during the run, by precision and library."""

    def __init__(self, python: str, size: int = MATMUL_SIZE) -> None:
        self.best: dict[str, dict[str, float]] = {}
        self._size = size
        self._worker = Worker("matmul", python, "benchmarks.matmul")

    def measure(self, dtype: str) -> None:
        """Measure again: a machine's rate drifts, and the best is what a step is held against."""
        found = self._worker.ask(dtype=dtype, size=self._size, repeats=3)
        best = self.best.setdefault(dtype, found)
        self.best[dtype] = {name: max(rate, best[name]) for name, rate in found.items()}

    def close(self) -> None:
        """End the worker."""
        self._worker.close()


def run(
    cases: Sequence[Case],
    pythons: Mapping[str, str],
    rounds: int,
    machine: Machine,
    results: list[Result],
    clock: str = "seconds",
) -> None:
    """Time all cases. Each is added to `results` as it begins, so that an interruption leaves a table."""
    for number, case in enumerate(cases, 1):
        result = Result(case, clock=clock)
        results.append(result)
        report(f"[{number}/{len(cases)}] {name_of(case)}")
        # The rate in float64 stands for mixed too: its [M, M] work is float64.
        machine.measure(case.float_type)
        measure(result, pythons, rounds)
        report(f"    {summary(result)}")


def measure(result: Result, pythons: Mapping[str, str], rounds: int) -> None:
    """One case: a new process for each library, so that its peak memory is its own."""
    started = time.perf_counter()
    peers_too = result.case.dtype != "mixed"
    used = {name: python for name, python in pythons.items() if peers_too or name not in PEERS}
    workers = [Worker(name, python, f"benchmarks.{MODULES[name]}") for name, python in used.items()]
    with closing_all(workers):
        alive = list(_prepared(workers, result))
        report(f"    built in {time.perf_counter() - started:.0f} s: {', '.join(one.name for one in alive)}")
        for worker in alive:
            _step(worker, result, warm=False, record=False)  # compiles
        untimed = [_step(worker, result, warm=False, record=False) for worker in alive]
        short = any(0.0 < seconds < SHORT for seconds in untimed)
        for _ in range(rounds):
            for worker in alive:
                _step(worker, result, warm=short, record=True)
        _compare([worker for worker in alive if worker.name not in result.failures], result)


def _prepared(workers: Sequence[Worker], result: Result) -> Iterator[Worker]:
    """The workers whose model stands. They build it at the same time: nothing is timed yet."""
    for worker in workers:
        worker.send(do="prepare", case=asdict(result.case))
    for worker in workers:
        try:
            result.loaded_mib[worker.name] = worker.receive()["loaded_mib"]
        except WorkerFailed as error:
            _failed(worker, result, error)
        else:
            yield worker


def _step(worker: Worker, result: Result, *, warm: bool, record: bool) -> float:
    """One step in seconds; 0 where the library failed, now or before."""
    if worker.name in result.failures:
        return 0.0
    try:
        answer = worker.ask(do="step", warm=warm)
    except WorkerFailed as error:
        _failed(worker, result, error)
        return 0.0
    if record:
        result.seconds.setdefault(worker.name, []).append(answer[result.clock])
        result.peak_mib[worker.name] = answer["mib"]
    return answer["seconds"]


def _failed(worker: Worker, result: Result, error: WorkerFailed) -> None:
    result.failures[worker.name] = str(error)
    report(f"    {error}")


def _compare(workers: Sequence[Worker], result: Result) -> None:
    """ELBO and gradients in float64 of the model as it was at the start: relative errors.

    After the timed steps, so that what the comparison takes is no part of their peak memory.
    """
    if result.case.dtype != "float64":
        return
    found: dict[str, dict[str, np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for worker in workers:
            file = Path(folder) / f"{worker.name}.npz"
            try:
                worker.ask(do="gradients", file=str(file))
            except WorkerFailed as error:
                _failed(worker, result, error)
                continue
            with np.load(file) as arrays:
                found[worker.name] = dict(arrays)
    ours = found.pop("ours", None)
    for name, theirs in found.items():
        if ours is None:
            break
        errors = {key: relative_error(ours[key], value) for key, value in theirs.items()}
        result.elbo_differences[name] = errors.pop("elbo")
        if errors:
            result.differences = errors


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """|found - expected| / |expected|, in the Euclidean norm."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def name_of(case: Case) -> str:
    """As it is shown while running."""
    return f"M = {case.M}, B = {case.B}, {case.dtype}, {'whitened' if case.whiten else 'unwhitened'}"


def summary(result: Result) -> str:
    """One line for a case that is done."""
    times = [f"{name} {1e3 * np.median(seconds):.1f} ms" for name, seconds in result.seconds.items()]
    checks = [f"{name} {error:.1e}" for name, error in result.differences.items() if error > EQUAL]
    return "; ".join(times) + (f"; gradients differ from GPflow's: {', '.join(checks)}" if checks else "")


def report(line: str) -> None:
    """Progress goes to standard error: standard output is for the table."""
    print(line, file=sys.stderr, flush=True)
