"""Data sets by name: made from formulas, or read from scikit-learn's installed files. No network.

Made sets are generated in blocks of fixed size, each from its own random streams, so the first
rows do not depend on how many follow, and any number can be streamed.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from svgp.data import generators
from svgp.data.names import nearest
from svgp.data.origin import rechunk
from svgp.errors import DataError

_BLOCK_ROWS = 65536
_INTEGERS = ("rows", "seed")
_LIMITS: dict[str, tuple[float, float]] = {"rows": (2, 10**12), "noise": (0.0, 1e6), "seed": (0, 2**63 - 1)}
_LIMITS_TEXT = {"rows": "a whole number from 2", "noise": "a number from 0", "seed": "a whole number from 0"}

Generator = Callable[[np.random.Generator, np.random.Generator, int, float], generators.Arrays]


@dataclass(frozen=True)
class BuiltinSet:
    """One data set: what it is, what is predicted, its options and their defaults."""

    summary: str
    task: str
    target: tuple[str, ...]
    options: Mapping[str, float] = field(default_factory=dict)
    generate: Generator | None = None  # made in blocks
    load: Callable[[], pa.Table] | None = None  # or read whole


def _diabetes() -> pa.Table:
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)
    columns = {str(name): bunch.data[:, place] for place, name in enumerate(bunch.feature_names)}
    return pa.table({**columns, "progression": bunch.target})


def _breast_cancer() -> pa.Table:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in bunch.feature_names]
    columns = {name: bunch.data[:, place] for place, name in enumerate(names)}
    return pa.table({**columns, "diagnosis": [str(bunch.target_names[label]) for label in bunch.target]})


def _labelled(load: str, target: str) -> pa.Table:
    """A classification of scikit-learn's with the names of its classes."""
    from sklearn import datasets

    bunch = getattr(datasets, load)()
    names = [str(name).removesuffix(" (cm)") for name in bunch.feature_names]
    names = [name.replace(" ", "_").replace("/", "_") for name in names]
    columns = {name: bunch.data[:, place] for place, name in enumerate(names)}
    named = [name.item() if hasattr(name, "item") else name for name in bunch.target_names]
    return pa.table({**columns, target: [named[label] for label in bunch.target]})


def _linnerud() -> pa.Table:
    from sklearn.datasets import load_linnerud

    bunch = load_linnerud()
    names = [str(name).lower() for name in [*bunch.feature_names, *bunch.target_names]]
    return pa.table(dict(zip(names, np.hstack([bunch.data, bunch.target]).T, strict=True)))


BUILTIN: dict[str, BuiltinSet] = {
    "robot_arm": BuiltinSet(
        "distance of the hand of an 8-joint robot arm: smooth, 8 inputs, as many rows as wanted",
        "regression", ("distance",), {"rows": 40000, "noise": 0.05, "seed": 0}, generators.robot_arm,
    ),
    "curve": BuiltinSet(
        "a noisy 1-D curve with a gap in its inputs",
        "regression", ("y",), {"rows": 200, "noise": 0.1, "seed": 0}, generators.curve,
    ),
    "two_classes": BuiltinSet(
        "two classes in the plane with a curved boundary",
        "binary", ("label",), {"rows": 500, "noise": 0.2, "seed": 0}, generators.two_classes,
    ),
    "counts": BuiltinSet(
        "counts over time, Poisson with a smooth rate",
        "count", ("count",), {"rows": 500, "seed": 0}, generators.counts,
    ),
    "diabetes": BuiltinSet(
        "progression of diabetes after a year, 442 patients, 10 inputs (Efron et al. 2004)",
        "regression", ("progression",), load=_diabetes,
    ),
    "breast_cancer": BuiltinSet(
        "malignant or benign, 569 biopsies, 30 inputs (Wisconsin, Street et al. 1993)",
        "binary", ("diagnosis",), load=_breast_cancer,
    ),
    "impact": BuiltinSet(
        "a head's acceleration after an impact: a curve whose noise comes and goes",
        "regression", ("acceleration",), {"rows": 400, "seed": 0}, generators.impact,
    ),
    "lifetimes": BuiltinSet(
        "years that machines lived, or have lived so far (censored): Weibull, 3 inputs",
        "positive", ("years",), {"rows": 1000, "seed": 0}, generators.lifetimes,
    ),
    "grades": BuiltinSet(
        "marks from 1 to 5 for work of 2 measured qualities",
        "ordinal", ("grade",), {"rows": 800, "noise": 0.5, "seed": 0}, generators.grades,
    ),
    "visits": BuiltinSet(
        "visits in so many hours, more scattered than Poisson noise",
        "count", ("visits",), {"rows": 800, "seed": 0}, generators.visits,
    ),
    "orchard": BuiltinSet(
        "rows of apple trees: weight with known errors, share ripe, trees with scab, moths caught; 2 inputs",
        "regression", ("weight",), {"rows": 600, "seed": 0}, generators.orchard,
    ),
    "digits": BuiltinSet(
        "handwritten digits of 8 by 8 pixels, 1,797 rows, 64 inputs (Alpaydin & Kaynak 1998)",
        "multiclass", ("digit",), load=lambda: _labelled("load_digits", "digit"),
    ),
    "iris": BuiltinSet(
        "three kinds of iris, 150 flowers, 4 inputs (Fisher 1936)",
        "multiclass", ("kind",), load=lambda: _labelled("load_iris", "kind"),
    ),
    "wine": BuiltinSet(
        "wines of three growers, 178 bottles, 13 inputs (Forina et al. 1988)",
        "multiclass", ("grower",), load=lambda: _labelled("load_wine", "grower"),
    ),
    "seasons": BuiltinSet(
        "degrees at three sites over twelve years: a yearly swing, and a slow rise",
        "regression", ("degrees",), {"rows": 600, "noise": 1.0, "seed": 0}, generators.seasons,
    ),
    "linnerud": BuiltinSet(
        "weight, waist and pulse of 20 men from 3 exercises (Linnerud)",
        "regression", ("weight", "waist", "pulse"), load=_linnerud,
    ),
}  # fmt: skip


def find_dataset(name: str) -> BuiltinSet:
    """The registered data set of this name. Raises DataError with the nearest name."""
    if name not in BUILTIN:
        raise DataError(
            f"no built-in data set '{name}'{nearest(name, BUILTIN)} (there are {', '.join(BUILTIN)})"
        )
    return BUILTIN[name]


def make_dataset(name: str, **options: float) -> pa.Table:
    """The whole data set as a table; options as in `BUILTIN[name].options`.

    The same options give the same rows, and fewer rows give the beginning of the same table.
    Raises DataError for an unknown name or option, or an option out of bounds.
    """
    return pa.concat_tables(iter_dataset(name, _BLOCK_ROWS, **options))


def iter_dataset(name: str, rows_per_chunk: int = _BLOCK_ROWS, **options: float) -> Iterator[pa.Table]:
    """The same rows as `make_dataset`, as a stream of tables, in memory for one chunk. Raises DataError."""
    if rows_per_chunk < 1:
        raise DataError(f"rows_per_chunk is {rows_per_chunk}; expected at least 1")
    dataset = find_dataset(name)
    values = _checked(name, dataset, options)
    if dataset.generate is None:
        assert dataset.load is not None
        blocks: Iterator[pa.Table] = iter([dataset.load()])
    else:
        blocks = _blocks(dataset.generate, int(values["rows"]), values.get("noise", 0.0), int(values["seed"]))
    return rechunk(blocks, rows_per_chunk, f"dataset {name}")


def table_fingerprint(table: pa.Table) -> str:
    """SHA-256 of a table's content: its column names, types and values."""
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        digest.update(f"{name}\0{column.type}\0".encode())
        if pa.types.is_primitive(column.type):
            digest.update(np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).tobytes())
        else:
            digest.update("\0".join(map(str, column.to_pylist())).encode())
    return digest.hexdigest()


def _blocks(generate: Generator, rows: int, noise: float, seed: int) -> Iterator[pa.Table]:
    for block in range(math.ceil(rows / _BLOCK_ROWS)):
        inputs, errors = (np.random.default_rng([seed, block, stream]) for stream in (0, 1))
        size = min(_BLOCK_ROWS, rows - block * _BLOCK_ROWS)
        yield pa.table(generate(inputs, errors, size, noise))


def _checked(name: str, dataset: BuiltinSet, options: Mapping[str, float]) -> dict[str, float]:
    for option, value in options.items():
        if option not in dataset.options:
            takes = f"it takes {', '.join(dataset.options)}" if dataset.options else "it takes none"
            raise DataError(
                f"dataset {name}: unknown option '{option}'{nearest(option, dataset.options)} ({takes})"
            )
        kinds = (int, np.integer) if option in _INTEGERS else (int, float, np.integer, np.floating)
        low, high = _LIMITS[option]
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise DataError(
                f"dataset {name}: {option} is {value!r}; expected {_LIMITS_TEXT[option]} to {high:g}"
            )
    return {**dataset.options, **options}
