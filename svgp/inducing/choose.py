"""The one door to the rules that choose inducing inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from svgp.errors import ModelError
from svgp.inducing.cover_tree import cover_tree
from svgp.inducing.greedy_variance import greedy_variance
from svgp.inducing.k_means import k_means
from svgp.inducing.random_rows import random_rows
from svgp.inducing.rows import distinct
from svgp.inducing.z_file import read_inducing_file

RULES = ("kmeans", "random", "greedy_variance", "cover_tree", "file")


def choose(
    X: np.ndarray,
    count: int,
    init: str = "kmeans",
    *,
    kernel: Any = None,
    seed: int = 0,
    path: str | Path | None = None,
    min_separation: float | None = None,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Inducing inputs Z `[M', D]` for the rows X `[N, D]`, by the rule named `init`.

    M' <= `count` except for `file`, whose rows are all taken. Z never holds a row twice. The same
    seed gives the same Z.

    kernel: needed by `greedy_variance`; gives `cover_tree` its lengthscales (without it X's own
        units are used).
    path, transform: of `file`; `transform` takes the file's rows to the units of X (such as
        original to standardised inputs). Without it the file is in the units of X.
    min_separation: of `cover_tree`, in lengthscales.

    Returns Z and notes: sentences for the user, such as why there are fewer points than asked for.
    Raises ModelError (arguments that do not fit) and DataError (the file).
    """
    X = _checked_rows(X, count, init)
    if init == "file":
        if path is None:
            raise ModelError(
                "model.inducing.path: init 'file' needs a path to a .csv, .npy or .npz of M rows"
            )
        return read_inducing_file(path, X.shape[1], count=count, transform=transform)
    if init == "greedy_variance":
        if kernel is None:
            raise ModelError("inducing init 'greedy_variance' needs the kernel, got kernel=None")
        Z, notes = greedy_variance(X, count, kernel, seed=seed)
    elif init == "cover_tree":
        Z, notes = cover_tree(X, count, kernel, min_separation=min_separation, seed=seed)
    elif init == "random":
        Z, notes = random_rows(X, count, seed=seed)
    else:
        Z, notes = k_means(X, count, seed=seed)
    return Z[distinct(Z)], notes


def _checked_rows(X: np.ndarray, count: int, init: str) -> np.ndarray:
    X = np.asarray(X, dtype=np.float64)  # [N, D]
    if init not in RULES:
        raise ModelError(f"model.inducing.init: unknown rule {init!r}; choose one of {', '.join(RULES)}")
    if X.ndim != 2 or X.shape[0] == 0 or X.shape[1] == 0:
        raise ModelError(f"choosing inducing points: X must be [N, D] with N, D >= 1, got shape {X.shape}")
    if count < 1:
        raise ModelError(f"model.inducing.count: must be at least 1, got {count}")
    bad = int(np.sum(~np.isfinite(X).all(axis=1)))
    if bad:
        raise ModelError(f"choosing inducing points: {bad} of {len(X)} rows of X hold NaN or infinity")
    return X
