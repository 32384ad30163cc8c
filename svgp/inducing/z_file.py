"""Inducing inputs from a file."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from svgp.errors import DataError
from svgp.inducing.rows import distinct


def read_inducing_file(
    path: str | Path,
    dimensions: int,
    *,
    count: int | None = None,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Inducing inputs `[M', D]` from a .csv, .npy or .npz (the array `Z`, or the only one) file.

    A CSV has one point a line, numbers only, with or without one header line, its columns in the
    order of the model's inputs. `transform` takes the file's units to the model's; without it the
    file is in the model's (standardised) units. All rows are used, whatever `count` says; rows that
    occur twice are taken once.

    Returns Z and notes. Raises DataError that names the file, and the line where there is one.
    """
    path = Path(path)
    Z = _read(path)
    if Z.ndim != 2 or Z.shape[1] != dimensions or len(Z) == 0:
        raise DataError(
            f"{path}: inducing points must be M rows of {dimensions} columns, one for each input after "
            f"one-hot encoding; got shape {list(Z.shape)}"
        )
    bad = np.flatnonzero(~np.isfinite(Z).all(axis=1))
    if len(bad):
        raise DataError(
            f"{path}: row {bad[0] + 1} of the inducing points holds NaN or infinity ({len(bad)} such rows)"
        )
    if transform is not None:
        Z = np.asarray(transform(Z), dtype=np.float64)  # [M, D]
    first = distinct(Z)
    notes = []
    if len(first) < len(Z):
        notes.append(
            f"{path}: {len(Z) - len(first)} of {len(Z)} inducing points occur twice and were taken once"
        )
    if count is not None and len(first) != count:
        notes.append(
            f"{len(first)} inducing points, the rows of {path}; model.inducing.count {count} is not used"
        )
    return Z[first], notes


def _read(path: Path) -> np.ndarray:
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
        if path.suffix == ".npz":
            return _read_npz(path)
        return _read_csv(path)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; model.inducing.path must be a .csv, .npy or .npz") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as inducing points ({error})") from error


def _read_npz(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        name = "Z" if "Z" in names else names[0] if len(names) == 1 else None
        if name is None:
            raise DataError(f"{path}: expected an array named Z, got {', '.join(names) or 'no arrays'}")
        return np.asarray(arrays[name], dtype=np.float64)


def _read_csv(path: Path) -> np.ndarray:
    rows: list[list[float]] = []
    with path.open(newline="", encoding="utf-8-sig") as file:
        for number, cells in enumerate(csv.reader(file), start=1):
            if not any(cell.strip() for cell in cells):
                continue
            try:
                rows.append([float(cell) for cell in cells])
            except ValueError:
                if number == 1:
                    continue  # the header
                raise DataError(
                    f"{path}:{number}: expected numbers only, got {','.join(cells)[:80]!r}"
                ) from None
            if len(rows[-1]) != len(rows[0]):
                raise DataError(
                    f"{path}:{number}: {len(rows[-1])} columns where the lines before have {len(rows[0])}"
                )
    return np.asarray(rows, dtype=np.float64)  # [M, D]
