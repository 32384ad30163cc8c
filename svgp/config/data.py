"""`data`: which table, which columns, which rows are held out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from svgp.config.base import Names, Section, TablePath, Text, WholeNumber, quoted, repeated, setting
from svgp.config.table import ColumnConfig, FormatConfig

DatasetName = Literal[
    "robot_arm", "curve", "two_classes", "counts", "diabetes", "breast_cancer", "impact", "lifetimes",
    "grades", "visits", "digits", "iris", "wine", "linnerud", "seasons", "orchard",
]  # fmt: skip

# The data sets that are measured, not made: they have as many rows as they have.
FIXED_DATASETS = ("diabetes", "breast_cancer", "digits", "iris", "wine", "linnerud")


class BuiltinDataset(Section):
    """A data set that svgp makes, or reads from scikit-learn's installed files, without a network."""

    example: ClassVar[str] = "{name: robot_arm, rows: 40000}"

    name: DatasetName = setting(..., "which built-in data set")
    rows: WholeNumber | None = setting(
        None, "how many rows to make; null: the data set's own default", unit="rows", ge=2, le=10**10
    )
    noise: float | None = setting(
        None, "how much noise to add; null: the data set's own default", unit="the data set's own", ge=0
    )
    seed: WholeNumber | None = setting(
        None, "seed of the generator; null: 0", unit="a seed", ge=0, le=2**31 - 1
    )

    @property
    def options(self) -> dict[str, int | float]:
        """The options that were given, as keyword arguments of `svgp.data.make_dataset`."""
        return self.model_dump(include={"rows", "noise", "seed"}, exclude_none=True)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.name in FIXED_DATASETS:
            for key in self.options:
                yield key, f"'{self.name}' is measured data and takes no options; remove '{key}'"
        if self.name == "counts" and self.noise is not None:
            yield "noise", "'counts' draws from a Poisson distribution and takes no noise; remove 'noise'"


class TestConfig(Section):
    """The held-out rows: a random share of the table, or a file of their own."""

    __test__: ClassVar[bool] = False  # not a test class of pytest's
    example: ClassVar[str] = "{fraction: 0.1}"

    path: TablePath | None = setting(None, "a file with the test rows; null: split the table by fraction")
    fraction: float | None = setting(
        None, "share of the rows held out; 0.1 unless a path is given", unit="share of the rows", gt=0, lt=1
    )
    seed: WholeNumber = setting(0, "seed of the split", unit="a seed", ge=0, le=2**31 - 1)
    split: Literal["auto", "random", "hash"] = setting(
        "auto",
        "how a fraction is drawn: at random, or by a hash of each row, which new rows do not change; "
        "auto: by hash where the table is read as a stream, else at random",
    )

    def model_post_init(self, context: Any) -> None:
        if self.path is None and self.fraction is None:
            object.__setattr__(self, "fraction", 0.1)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.path is not None and self.fraction is not None:
            yield "fraction", "give 'fraction' or 'path', not both: a test file is used whole"


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class DataConfig(Section):
    """The table to learn from: where it is, what its columns are for, which rows are kept for testing."""

    example: ClassVar[str] = "{path: table.csv, target: y}"

    path: TablePath | None = setting(
        None,
        "delimited text (also .gz), Parquet (file or folder; also s3://, gs://, ...), Arrow, Feather, .npz, "
        "Excel, SQLite or DuckDB; or give 'dataset'",
    )
    format: FormatConfig = setting(FormatConfig, "how 'path' and the test rows' path are read")
    dataset: Annotated[BuiltinDataset | None, BeforeValidator(_named)] = setting(
        None, "a built-in data set, by name or as {name: ..., rows: ...}; or give 'path'"
    )
    target: Names = setting([], "the column to predict, or a list of them; [] for a built-in set: its own")
    inputs: Names | None = setting(None, "the columns to predict from; null: every column but the target")
    categorical: Names = setting([], "input columns to one-hot encode")
    columns: dict[Text, ColumnConfig] = setting({}, "how single columns are read, by name")
    unseen: Literal["zeros", "error"] = setting(
        "zeros", "a level not seen in training: all-zero one-hot columns (counted and reported), or an error"
    )
    test: TestConfig | None = setting(TestConfig, "the held-out rows; null: hold out none")
    stream: Literal["auto"] | bool = setting(
        "auto",
        "leave a Parquet table on the disk and read it as often as needed; auto: where it is large for "
        "the memory",
    )
    standardize: bool = setting(
        True,
        "shift and scale inputs and target by their training mean and standard deviation; "
        "predictions come back in original units",
    )
    input_transform: Literal["auto", "none"] = setting(
        "auto",
        "of inputs with values far outside the rest (40 spreads): there the logarithm of the distance "
        "counts; none: as they are",
    )
    target_transform: Literal["none", "log", "quantile"] = setting(
        "none",
        "of a skewed number: learn its logarithm, or the normal score of its quantile; predictions and "
        "densities come back in original units",
    )
    missing: Literal["error", "drop", "indicator"] = setting(
        "error",
        "rows with missing values: an error that names the columns; dropped and counted; or kept, with the "
        "mean in place of a missing input and a further input, 0 or 1, that says where",
    )

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.path is None and self.dataset is None:
            yield "", "nothing to learn from: give 'path' (a file) or 'dataset' (a built-in data set)"
        if self.path is not None and self.dataset is not None:
            yield "dataset", "give 'path' or 'dataset', not both"
        if self.path is not None and not self.target:
            yield "target", "missing; expected the name of the column to predict, or a list of names"
        yield from self._column_conflicts()

    def _column_conflicts(self) -> Iterator[tuple[str, str]]:
        for key, names in (
            ("target", self.target), ("inputs", self.inputs or []), ("categorical", self.categorical)
        ):  # fmt: skip
            if names and repeated(names):
                yield key, f"{quoted(repeated(names))} listed more than once"
        if self.inputs is not None and not self.inputs:
            yield "inputs", "an empty list: nothing to predict from; null takes every column but the target"
        for key, names in (("inputs", self.inputs or []), ("categorical", self.categorical)):
            both = sorted(set(names) & set(self.target))
            if both:
                yield key, f"{quoted(both)} is the target and cannot be an input as well"
        for key in ("table", "query"):
            if self.dataset is not None and getattr(self.format, key) is not None:
                yield f"format.{key}", "is for a file, and 'dataset' names a built-in data set"
        yield from self._reading_conflicts()
        unused = sorted(set(self.categorical) - set(self.inputs or self.categorical) - set(self.target))
        if unused:
            yield "categorical", f"{quoted(unused)} is not among 'inputs'; add it there or remove it here"

    def _reading_conflicts(self) -> Iterator[tuple[str, str]]:
        for name, column in self.columns.items():
            if name in self.categorical and column.type in ("number", "date"):
                yield f"columns.{name}.type", f"is {column.type}, and '{name}' is listed under 'categorical'"
            if self.inputs is not None and name not in {*self.inputs, *self.target}:
                yield f"columns.{name}", "is neither among 'inputs' nor a target; remove it here"
            if name in self.target and (column.type in ("date", "category") or column.parts):
                yield f"columns.{name}", "is the target, which can be read as numbers only"

    @property
    def categories(self) -> list[str]:
        """Columns to one-hot encode: of 'categorical', and those whose type says so."""
        typed = [name for name, column in self.columns.items() if column.type == "category"]
        return [*self.categorical, *(name for name in typed if name not in self.categorical)]
