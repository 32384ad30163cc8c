"""Trains contenders by turns, a slice of seconds each, and records how good each is after each slice."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.step import report
from benchmarks.worker import Worker, WorkerFailed, closing_all, environment

# name -> (environment, module, method)
CONTENDERS = {
    "ours": ("ours", "quality_ours", "auto"),
    "ours-sparse": ("ours", "quality_ours", "sparse"),
    "ours-adam": ("ours", "quality_ours", "adam"),
    "ours-natgrad": ("ours", "quality_ours", "natgrad"),
    "ours-collapsed": ("ours", "quality_ours", "collapsed"),
    "gpflow-adam": ("gpflow", "quality_gpflow", "adam"),
    "gpflow-natgrad": ("gpflow", "quality_gpflow", "natgrad"),
    "gpflow-sgpr": ("gpflow", "quality_gpflow", "sgpr"),
    "gpytorch-adam": ("torch", "quality_gpytorch", "adam"),
    "gpytorch-ngd": ("torch", "quality_gpytorch", "natgrad"),
    "gpytorch-exact": ("torch", "quality_gpytorch_rows", "exact"),
    "gpytorch-vnngp": ("torch", "quality_gpytorch_rows", "vnngp"),
}
DEFAULT = (
    "ours", "ours-sparse", "gpflow-adam", "gpflow-natgrad", "gpflow-sgpr", "gpytorch-adam", "gpytorch-ngd",
    "gpytorch-exact", "gpytorch-vnngp",
)  # fmt: skip
FIRST_SLICE, GROWTH, LONGEST_SLICE = 0.5, 1.15, 5.0  # seconds: early on quality changes fast


@dataclass
class Curve:
    """What one contender reached on one data set."""

    data: str
    name: str
    rows: list[dict[str, Any]] = field(default_factory=list)  # seconds, steps, nlpd, rmse, coverage_95 ...
    failure: str | None = None

    def at(self, seconds: float, measure: str) -> float | None:
        """The last value seen by then; a step that was under way then and ended soon after counts."""
        seen = [row[measure] for row in self.rows if row["seconds"] <= 1.02 * seconds + 0.2]
        return seen[-1] if seen else None

    def time_to(self, nlpd: float) -> float | None:
        """Training seconds at the first evaluation that was as good."""
        good = [row["seconds"] for row in self.rows if row["nlpd"] is not None and row["nlpd"] <= nlpd]
        return good[0] if good else None


def slices(seconds: float, length: float | None = None) -> list[float]:
    """The training times at which a contender is paused and evaluated; the last is `seconds`.

    `length`: of a slice, in seconds; by default half a second at first and five in the end.
    """
    if length is not None:
        count = max(1, round(seconds / length))
        return [seconds * (index + 1) / count for index in range(count)]
    ends, end = [], 0.0
    while end < seconds:
        end = min(seconds, end + min(LONGEST_SLICE, max(FIRST_SLICE, (GROWTH - 1) * end)))
        ends.append(end)
    return ends


def prepare(folder: Path, python: str, count: int, seed: int, file: Path) -> None:
    """Write the problem's arrays to `file`, in a process of its own: this one stays small."""
    file.parent.mkdir(parents=True, exist_ok=True)
    command = [python, "-m", "benchmarks.quality_problem", str(folder), str(count), str(seed), str(file)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"benchmark_quality: {folder} could not be prepared:\n{done.stderr[-2000:]}")


def train_all(
    names: Sequence[str],
    pythons: Mapping[str, str],
    problem: Path,
    settings: Mapping[str, Any],
    record: Path,
    curves: list[Curve],
    data: str,
) -> None:
    """Train `names` by turns; curves are added to `curves` at once and grow, rows also go to `record`."""
    started = time.perf_counter()
    length = settings.get("slice")
    mine = [Curve(data, name) for name in names]
    curves.extend(mine)
    workers = [_worker(name, pythons) for name in names]
    with closing_all(workers), open(record, "a", encoding="utf-8") as file:
        running = list(zip(workers, mine, strict=True))
        for worker, _ in running:
            where, _, method = CONTENDERS[worker.name]
            own = {**settings, "method": method, "dtype": settings["dtypes"][where]}
            own.pop("dtypes")
            own.pop("slice", None)
            worker.send(file=str(problem), settings=own)
        running = [pair for pair in running if _answer(*pair) is not None]
        for until in slices(settings["seconds"], length):
            for worker, curve in list(running):
                if curve.rows and curve.rows[-1]["seconds"] >= until:
                    continue  # its last step took longer than the slice
                worker.send(until=until)
                row = _answer(worker, curve)
                if row is None:
                    running.remove((worker, curve))
                    continue
                curve.rows.append(row)
                file.write(json.dumps({"data": data, "contender": curve.name, **row}) + "\n")
                file.flush()
                if row["finished"]:
                    running.remove((worker, curve))
            report(f"{data} {until:6.1f} s ({time.perf_counter() - started:.0f} s in all)  {standing(mine)}")


def _worker(name: str, pythons: Mapping[str, str]) -> Worker:
    where, module, _ = CONTENDERS[name]
    return Worker(name, pythons[where], f"benchmarks.{module}")


def _answer(worker: Worker, curve: Curve) -> dict[str, Any] | None:
    try:
        return worker.receive()
    except WorkerFailed as error:
        curve.failure = str(error)
        report(f"{curve.data}: {error}")
        return None


def standing(curves: Iterable[Curve]) -> str:
    """NLPD of each, in a line."""
    cells = []
    for curve in curves:
        nlpd = curve.rows[-1]["nlpd"] if curve.rows else None
        end = "!" if curve.failure else "." if curve.rows and curve.rows[-1]["finished"] else ""
        cells.append(f"{curve.name} {'-' if nlpd is None else format(nlpd, '.3f')}{end}")
    return "NLPD: " + ", ".join(cells)


def read_curves(record: Path) -> list[Curve]:
    """The curves of an earlier run, from its JSON lines."""
    curves: dict[tuple[str, str], Curve] = {}
    for line in record.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        key = (row.pop("data"), row.pop("contender"))
        curves.setdefault(key, Curve(*key)).rows.append(row)
    if not curves:
        sys.exit(f"{record}: holds no rows")
    return list(curves.values())
