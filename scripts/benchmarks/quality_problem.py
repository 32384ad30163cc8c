"""A data set as all contenders see it: standardised rows, and where the inducing inputs start.

`python -m benchmarks.quality_problem FOLDER M SEED FILE` writes it; contenders read it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Problem(NamedTuple):
    """Arrays standardised by the training rows; a constant column is only centred."""

    X: np.ndarray  # [N, D]
    Y: np.ndarray  # [N, 1]
    X_test: np.ndarray  # [N_test, D]
    Y_test: np.ndarray  # [N_test, 1]
    Z: np.ndarray  # [M, D]


def load(file: str | Path) -> Problem:
    """What `write` wrote."""
    with np.load(file) as arrays:
        return Problem(*(arrays[name] for name in Problem._fields))


def standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by the columns' means and standard deviations in `train`."""
    mean, scale = train.mean(axis=0), train.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    return (train - mean) / scale, (test - mean) / scale


def read(file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [N, D] and the column y [N, 1] of a CSV file with a header line."""
    import gzip

    with gzip.open(file, "rt", encoding="utf-8") as lines:
        names = [name.strip().strip('"') for name in next(lines).split(",")]
        values = np.loadtxt(lines, delimiter=",", ndmin=2)
    if "y" not in names:
        sys.exit(f"{file}: has no column y, but {', '.join(names)}")
    target = names.index("y")
    return np.delete(values, target, axis=1), values[:, [target]]


def write(folder: Path, count: int, seed: int, file: Path) -> None:
    """Read, standardise, choose Z by k-means on the training rows."""
    from svgp import inducing

    (X, Y), (X_test, Y_test) = read(folder / "train.csv.gz"), read(folder / "test.csv.gz")
    X, X_test = standardised(X, X_test)
    Y, Y_test = standardised(Y, Y_test)
    Z, _ = inducing.choose(X, count, "kmeans", seed=seed)
    problem = Problem(X, Y, X_test, Y_test, Z)
    np.savez(file, **problem._asdict())


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
