from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from svgp.data.origin import mark
from svgp.data.tasks import TASKS
from svgp.errors import DataError


def table_of(values):
    return mark(pa.table({"y": values}), "t.csv")


@pytest.mark.parametrize(
    "values, classes",
    [
        ([1, 0, 1], [0, 1]),
        ([2.0, 1.0, 1.0], [1, 2]),
        ([1, -1, 1], [-1, 1]),
        ([10, 9, 9], [9, 10]),  # by number, not by text
        ([0.5, 1.5, 0.5], [0.5, 1.5]),
        ([True, False, True], [False, True]),
        (["yes", "no", "yes"], ["no", "yes"]),
        (["yes", None, "no"], ["no", "yes"]),
        (pa.array(["b", "a", "b"]).dictionary_encode(), ["a", "b"]),
    ],
)  # fmt: skip
def test_two_labels_of_any_type_become_zero_and_one(values, classes):
    table = table_of(values)
    assert TASKS["binary"].find_classes(table, "y") == classes
    assert [type(label) for label in TASKS["binary"].find_classes(table, "y")] == [
        type(label) for label in classes
    ]
    plain = table["y"].to_pylist()
    expected = [np.nan if value is None else float(value == classes[1]) for value in plain]
    np.testing.assert_array_equal(TASKS["binary"].values(table, "y", classes), expected)


@pytest.mark.parametrize(
    "classes, values",
    [
        ([0, 1], [0.0, 1.0]),
        ([0, 1], ["0", "1"]),
        ([0, 1], ["0.0", " 1.00"]),
        ([False, True], ["FALSE", "True"]),
    ],
)
def test_labels_of_another_type_are_recognised(classes, values):
    np.testing.assert_array_equal(TASKS["binary"].values(table_of(values), "y", classes), [0, 1])


@pytest.mark.parametrize(
    "values, message",
    [
        (["yes", "yes"], r"t.csv: target 'y' has one class only \('yes'\).*pick another target"),
        (["a", "b", "c"], r"3 classes \('a', 'b', 'c'\).*gaussian"),
        (list(range(5000)), "5,000 different values.*gaussian"),
    ],
)
def test_other_numbers_of_classes_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        TASKS["binary"].find_classes(table_of(values), "y")


def test_a_third_label_is_named_with_its_row():
    with pytest.raises(DataError, match="label 'maybe' at row 2; the training rows have 'no' and 'yes'"):
        TASKS["binary"].values(table_of(["yes", "maybe"]), "y", ["no", "yes"])


@pytest.mark.parametrize(
    "values, message",
    [
        ([3, -1, -2], r"a negative value, first at row 2: -1 \(2 rows\)"),
        ([3.0, 1.0, 2.5], r"a fraction, first at row 3: 2.5 \(1 row\)"),
        (["1", "two"], "row 2: 'two'; counts are the whole numbers"),
    ],
)
def test_what_is_no_count(values, message):
    with pytest.raises(DataError, match=message):
        TASKS["count"].values(table_of(values), "y", None)


def test_counts_may_be_stored_as_floats():
    np.testing.assert_array_equal(
        TASKS["count"].values(table_of([3.0, 0.0, None]), "y", None), [3, 0, np.nan]
    )


def test_text_in_a_regression_target_points_to_classification():
    with pytest.raises(DataError, match="column 'y' has text .* row 1: 'yes'; .*bernoulli"):
        TASKS["regression"].values(table_of(["yes", "no"]), "y", None)
