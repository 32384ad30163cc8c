"""What makes a good result suspect, or a better one likely: leaks, drift between files, skew."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from svgp.data.dataset import Dataset
from svgp.data.numeric import skewness

_ROWS = 20_000  # that are looked at: enough to see, quick to rank
_INPUTS = 300
_MONOTONE = 0.9999  # rank correlation from which an input orders the rows as the target does
_LINEAR = 0.9999  # what is the target up to scale is said elsewhere
_DRIFT = 0.1  # largest distance of two distribution functions that is worth a word
_CHANCE = 1e-6  # and would come about by chance in so few of so many columns
_SKEW, _HEAVY = 2.0, 4.0
_SHOWN = 5


def on_leaks(dataset: Dataset) -> Iterator[str]:
    """Inputs that order the rows exactly as the target does: the target, seen through a monotone function."""
    columns = dataset.columns
    if dataset.X.shape[1] < 2 or columns.kind.labels:
        return
    rows = slice(None, None, -(-len(dataset.X) // _ROWS))
    for place, target in enumerate(columns.target_names):
        y = columns.targets_of(dataset.Y)[rows, place]
        seen = ~np.isnan(y)
        if len(np.unique(y[seen])) < 20:
            continue
        ranks = _standard(_ranks(y[seen]))
        for name, x in zip(columns.input_names[:_INPUTS], dataset.X[rows].T, strict=False):
            if np.ptp(x[seen]) == 0 or abs(_standard(x[seen]) @ _standard(y[seen])) > _LINEAR:
                continue
            agreement = _standard(_ranks(x[seen])) @ ranks
            if abs(agreement) > _MONOTONE:
                yield (
                    f"input '{name}' {'rises' if agreement > 0 else 'falls'} with target '{target}' in every"
                    " row, as if it were made from it; leave it out if it is not known beforehand"
                )


def on_drift(dataset: Dataset) -> Iterator[str]:
    """Columns that are distributed differently in the test rows: two-sample Kolmogorov-Smirnov statistics."""
    if dataset.X_test is None or dataset.Y_test is None or not len(dataset.X_test):
        return
    columns = dataset.columns
    train = np.hstack([dataset.X, columns.targets_of(dataset.Y)])
    test = np.hstack([dataset.X_test, columns.targets_of(dataset.Y_test)])
    names = [*columns.input_names, *columns.target_names]
    found = []
    for name, a, b in zip(names, train.T, test.T, strict=True):
        a, b = np.sort(_thinned(a[~np.isnan(a)])), np.sort(_thinned(b[~np.isnan(b)]))
        if not len(a) or not len(b):
            continue
        both = np.concatenate([a, b])
        distance = np.abs(
            np.searchsorted(a, both, side="right") / len(a) - np.searchsorted(b, both, side="right") / len(b)
        ).max()
        chance = 2.0 * np.exp(-2.0 * distance**2 * len(a) * len(b) / (len(a) + len(b)))
        if distance > _DRIFT and chance < _CHANCE:
            found.append((float(distance), name, float(np.median(b) - np.median(a))))
    for distance, name, shift in sorted(found, reverse=True)[:_SHOWN]:
        yield (
            f"'{name}' is distributed differently in the test rows: their distribution functions differ by up"
            f" to {distance:.2f}, the medians by {shift:+.2g} (scaled units); test errors tell of such rows"
        )
    if len(found) > _SHOWN:
        yield f"... and {len(found) - _SHOWN} more columns that differ so"


def on_skew(dataset: Dataset) -> Iterator[str]:
    """A regression's target that a transform would make normal: which one, and how skewed it is."""
    columns = dataset.columns
    if columns.task != "regression" or any(columns.transforms):
        return
    scaled = columns.targets_of(dataset.Y)
    Y = columns.unscale_mean(scaled)
    for name, y, z in zip(columns.target_names, Y.T, scaled.T, strict=True):
        y, z = y[~np.isnan(y)], z[~np.isnan(z)]
        if len(y) < 50 or np.ptp(y) == 0:
            continue
        plain = skewness(z)  # of a large number with a small spread y itself has no digits left for it
        if y.min() > 0 and plain > _SKEW and abs(logged := skewness(np.log(y))) < 0.5 * plain:
            yield (
                f"target '{name}' has skewness {plain:.2g}, its logarithm {logged:.2g}: try"
                " data.target_transform=log"
            )
        elif abs(plain) > _HEAVY:
            yield f"target '{name}' has skewness {plain:.2g}: try data.target_transform=quantile"


def _standard(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean()
    size = np.sqrt(centred @ centred)
    return centred / size if size > 0 else centred


# As scipy.stats has them, which takes longer to load than all that is asked here.
def _ranks(values: np.ndarray) -> np.ndarray:
    """From 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - 0.5 * (counts - 1))[places]


def _thinned(values: np.ndarray) -> np.ndarray:
    return values[:: -(-len(values) // _ROWS)] if len(values) > _ROWS else values
