from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from svgp.data import Columns
from svgp.data.origin import mark
from svgp.errors import DataError

TRAIN = mark(
    pa.table(
        {
            "size": [1.0, 2.0, 3.0, 6.0],
            "colour": ["red", "blue", "red", "green"],
            "flat": [7, 7, 7, 7],
            "price": [10.0, 20.0, 30.0, 40.0],
            "note": ["a", "b", "c", "d"],
        }
    ),
    "train.csv",
)


def fit(table=TRAIN, **changes):
    choice = {
        "task": "regression",
        "inputs": ["size", "colour", "flat"],
        "targets": ["price"],
        "categorical": ["colour"],
    }
    return Columns.fit(table, **{**choice, **changes})


def test_numbers_are_standardised_and_levels_become_columns_in_place():
    columns = fit()
    assert columns.input_names == ["size", "colour=blue", "colour=green", "colour=red", "flat"]
    X = columns.transform_inputs(TRAIN)
    np.testing.assert_allclose(X[:, 0], (np.array([1, 2, 3, 6]) - 3) / np.sqrt(3.5), rtol=1e-15)
    np.testing.assert_array_equal(X[:, 1:4], [[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    np.testing.assert_array_equal(X[:, 4], 0)
    Y = columns.transform_targets(TRAIN)
    np.testing.assert_allclose([Y.mean(), Y.std()], [0, 1], atol=1e-15)
    assert X.dtype == Y.dtype == np.float64 and Y.shape == (4, 1)


def test_scaling_can_be_undone():
    columns = fit()
    Y = columns.transform_targets(TRAIN)
    np.testing.assert_allclose(columns.unscale_mean(Y)[:, 0], TRAIN["price"].to_numpy(), rtol=1e-15)
    np.testing.assert_allclose(columns.unscale_std(np.ones((2, 1))), np.sqrt(125))
    assert columns.unscale_mean(np.zeros((5, 1))).shape == (5, 1)


def test_without_standardising_values_pass_unchanged():
    columns = fit(standardize=False)
    np.testing.assert_array_equal(columns.transform_inputs(TRAIN)[:, 0], [1, 2, 3, 6])
    np.testing.assert_array_equal(columns.transform_targets(TRAIN)[:, 0], [10, 20, 30, 40])


def test_a_tiny_spread_far_from_zero_is_standardised():
    values = 1e9 + np.arange(1000.0) / 1024  # exact in float64
    X = fit(pa.table({"a": values, "price": values}), inputs=["a"], categorical=[]).transform_inputs(
        pa.table({"a": values})
    )
    np.testing.assert_allclose([X.mean(), X.std()], [0, 1], atol=1e-9)
    assert len(np.unique(X)) == 1000


@pytest.mark.parametrize("targets", [("price",), ("price", "size2")])
def test_json_gives_the_same_columns_to_the_last_bit(targets):
    table = TRAIN.append_column("size2", pa.array([0.1, 1 / 3, 1e-300, 5.0]))
    columns = fit(table, targets=list(targets))
    again = Columns.from_dict(json.loads(json.dumps(columns.to_dict())))
    assert again.to_dict() == columns.to_dict()
    np.testing.assert_array_equal(again.transform_inputs(table), columns.transform_inputs(table))
    np.testing.assert_array_equal(again.transform_targets(table), columns.transform_targets(table))
    assert again.target_mean.dtype == np.float64


@pytest.mark.parametrize(
    "labels", [[0, 1, 1, 0], [True, False, True, True], ["n", "y", "n", "y"], [0.5, 1.5, 0.5, 0.5]]
)
def test_classes_survive_json(labels):
    columns = fit(TRAIN.append_column("label", pa.array(labels)), task="binary", targets=["label"])
    again = Columns.from_dict(json.loads(json.dumps(columns.to_dict())))
    assert again.classes == columns.classes == sorted(set(labels))
    np.testing.assert_array_equal([again.target_mean, again.target_scale], [[0], [1]])


@pytest.mark.parametrize(
    "damage", [{"inputs": None}, {"input_mean": [1.0]}, {"levels": []}, {"target_scale": "x"}, {"task": ...}]
)
def test_damaged_stored_columns(damage):
    stored = {**fit().to_dict(), **damage}
    stored = {name: value for name, value in stored.items() if value is not ...}
    with pytest.raises(DataError, match="damaged"):
        Columns.from_dict(stored)


def test_other_column_order_extra_columns_and_types_do_not_matter():
    columns = fit()
    table = pa.table(
        {
            "extra": [None, "x", "y", "z"],
            "flat": [7.0] * 4,
            "colour": pa.array(["red", "blue", "red", "green"]).dictionary_encode(),
            "size": ["1", "2.0", " 3", "6e0"],
        }
    )
    np.testing.assert_array_equal(columns.transform_inputs(table), columns.transform_inputs(TRAIN))
    assert not columns.has_targets(table) and columns.has_targets(TRAIN)


@pytest.mark.parametrize(
    "trained, given",
    [
        ([1, 2, 10], [1.0, 2.0, 10.0]),
        ([1, 2, 10], ["1", "2.0", "010"]),
        ([1.5, 2.0, -1.0], ["1.5", "2", "-1"]),
        (["1", "x", "2"], ["1", "x", "2"]),
        ([True, False, True], ["True", "FALSE", "true"]),
        (["01", "1", "x"], ["01", "1", "x"]),
    ],
)
def test_levels_are_recognised_in_another_type(trained, given):
    table = pa.table({"code": trained, "price": [1.0, 2.0, 3.0]})
    columns = fit(table, inputs=["code"], categorical=["code"])
    np.testing.assert_array_equal(
        columns.transform_inputs(pa.table({"code": given})), columns.transform_inputs(table)
    )
    assert columns.transform_inputs(table).sum() == 3


def test_numeric_levels_are_in_the_order_of_their_values():
    table = pa.table({"code": [10, 9, 1], "price": [1.0, 2.0, 3.0]})
    assert fit(table, inputs=["code"], categorical=["code"]).input_names == ["code=1", "code=9", "code=10"]


NEW = mark(
    pa.table({"size": [1.0, 2.0, 3.0], "colour": ["pink", "red", "teal"], "flat": [7, 7, 8]}), "new.csv", 11
)


def test_an_unseen_level_is_all_zeros_and_counted():
    columns = fit()
    np.testing.assert_array_equal(columns.transform_inputs(NEW)[:, 1:4], [[0, 0, 0], [0, 0, 1], [0, 0, 0]])
    assert columns.count_unseen(NEW) == {"colour": 2}
    assert columns.count_unseen(TRAIN) == {}


def test_an_unseen_level_can_be_an_error():
    with pytest.raises(DataError, match=r"new.csv: .*'colour' has levels .* 'pink', 'teal' \(2 rows\)"):
        fit(unseen="error").transform_inputs(NEW)


def test_a_category_that_is_all_missing_or_a_list():
    table = NEW.set_column(1, "colour", pa.nulls(3))
    with pytest.raises(DataError, match=r"missing values in 'colour' \(3 rows\)"):
        fit().transform_inputs(table)
    for name in ("colour", "size"):
        table = NEW.set_column(NEW.column_names.index(name), name, pa.array([[1], [2], [3]]))
        with pytest.raises(
            DataError, match=f"column '{name}' holds list<item: int64> values; expected numbers"
        ):
            fit().transform_inputs(table)


def test_too_many_levels():
    table = pa.table({"id": list(map(str, range(2000))), "price": np.arange(2000.0)})
    with pytest.raises(DataError, match="'id' has 2,000 levels; at most 1,000"):
        fit(table, inputs=["id"], categorical=["id"])


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"size": None},
            r"new.csv: input column 'size' is not there; did you mean 'sizes'\? \(columns: sizes, colour",
        ),
        (
            {"size": ["1", "!", "3"]},
            r"new.csv: column 'size' has text .* row 12: '!'; correct it",
        ),
        ({"size": [1.0, None, None]}, r"new.csv: missing values in 'size' \(2 rows\), of 3 rows"),
        ({"colour": ["red", None, "red"]}, r"missing values in 'colour' \(1 row\)"),
        ({"size": [1.0, np.inf, -np.inf]}, r"infinite values in 'size' \(2 rows, first row 12\)"),
    ],
)
def test_bad_inputs_name_file_column_and_row(change, message):
    [(name, values)] = change.items()
    place = NEW.column_names.index(name)
    if values is None:
        table = mark(NEW.rename_columns(["sizes", "colour", "flat"]), "new.csv", 11)
    else:
        table = NEW.set_column(place, name, pa.array(values))
    with pytest.raises(DataError, match=message):
        fit().transform_inputs(table)


def test_bad_targets():
    columns = fit()
    with pytest.raises(DataError, match="target column 'price' is not there"):
        columns.transform_targets(NEW)
    with pytest.raises(DataError, match=r"missing values in 'price' \(1 row\)"):
        columns.transform_targets(pa.table({"price": [1.0, None]}))
    with pytest.raises(DataError, match=r"infinite values in 'price'"):
        columns.transform_targets(pa.table({"price": [1.0, np.inf]}))
    with pytest.raises(DataError, match="a binary task has one target, got 2"):
        fit(task="binary", targets=["price", "flat"])
    with pytest.raises(DataError, match="task 'ranking' is unknown"):
        fit(task="ranking")


def test_complete_rows():
    table = pa.table(
        {
            "size": [1.0, None, 3.0, 4.0],
            "colour": ["red", "red", None, "pink"],
            "flat": [7] * 4,
            "price": [1.0, 1, 1, None],
        }
    )
    np.testing.assert_array_equal(fit().complete_rows(table), [True, False, False, True])
    np.testing.assert_array_equal(fit().complete_rows(table, targets=True), [True, False, False, False])


def test_several_chunks_are_one_column():
    table = pa.concat_tables([TRAIN.slice(0, 1), TRAIN.slice(1, 0), TRAIN.slice(1)])
    np.testing.assert_array_equal(fit().transform_inputs(table), fit().transform_inputs(TRAIN))


def test_an_empty_table_gives_empty_arrays():
    assert fit().transform_inputs(TRAIN.slice(0, 0)).shape == (0, 5)
