from __future__ import annotations

import numpy as np
import pytest

from svgp.data import load_dataset, read_table
from svgp.data.split import split_rows
from svgp.errors import DataError

ROWS = "".join(f"{i},{i * i},{'red' if i % 3 else 'blue'},{2 * i + 1}\n" for i in range(20))
TABLE = "a,b,colour,y\n" + ROWS


def test_every_other_column_is_an_input(write, data_config):
    data = load_dataset(data_config(write("t.csv", TABLE), categorical=["colour"]), "regression")
    assert data.columns.input_names == ["a", "b", "colour=blue", "colour=red"]
    assert data.X.shape == (20, 4) and data.Y.shape == (20, 1)
    assert data.X_test is None and data.Y_test is None and data.notes == []
    assert data.name == "t" and len(data.sha256) == 64
    np.testing.assert_allclose(data.columns.unscale_mean(data.Y)[:, 0], np.arange(1, 41, 2), rtol=1e-14)


def test_chosen_inputs_and_several_targets(write, data_config):
    data = load_dataset(data_config(write("t.csv", TABLE), ["y", "b"], inputs=["a"]), "regression")
    assert data.columns.input_names == ["a"] and data.Y.shape == (20, 2)
    np.testing.assert_allclose(data.Y.std(axis=0), 1)


def test_a_split_is_seeded_disjoint_and_scaled_by_its_training_rows(write, data_config):
    path = write("t.csv", TABLE)

    def load(seed):
        return load_dataset(
            data_config(path, inputs=["a"], test={"fraction": 0.25, "seed": seed}), "regression"
        )

    data = load(3)
    raw, raw_test = (X * data.columns.input_scale + data.columns.input_mean for X in (data.X, data.X_test))
    assert len(raw_test) == 5
    np.testing.assert_allclose(np.sort(np.concatenate([raw, raw_test])[:, 0]), np.arange(20), atol=1e-12)
    np.testing.assert_allclose(
        [data.X.mean(), data.X.std(), data.Y.mean(), data.Y.std()], [0, 1, 0, 1], atol=1e-14
    )
    np.testing.assert_array_equal(data.X, load(3).X)
    assert not np.array_equal(data.X, load(4).X)
    np.testing.assert_allclose(data.columns.unscale_mean(data.Y_test), 2 * raw_test + 1)


@pytest.mark.parametrize(
    "rows, fraction, held_out", [(10, 0.1, 1), (10, 0.04, 1), (1000, 0.1, 100), (10, 0.8, 8)]
)
def test_how_many_rows_are_held_out(rows, fraction, held_out):
    assert split_rows(rows, fraction, 0).sum() == held_out


def test_a_test_file_is_scaled_by_the_training_file(write, data_config):
    test = write("test.csv", "y,colour,a\n100,green,100\n200,red,200\n")
    config = data_config(
        write("t.csv", TABLE), inputs=["a", "colour"], categorical=["colour"], test={"path": test}
    )
    data = load_dataset(config, "regression")
    np.testing.assert_allclose(data.columns.unscale_mean(data.Y_test)[:, 0], [100, 200])
    np.testing.assert_allclose(
        data.X_test[:, 0] * data.columns.input_scale[0] + data.columns.input_mean[0], [100, 200]
    )
    np.testing.assert_array_equal(data.X_test[:, 1:], [[0, 0], [0, 1]])
    assert data.notes == ["1 test row with a level of 'colour' that no training row has: all zeros there"]
    with pytest.raises(DataError, match=r"test.csv: .*'green' \(1 row\)"):
        load_dataset(config.model_copy(update={"unseen": "error"}), "regression")


@pytest.mark.parametrize(
    "content, message",
    [
        ("a,b,colour\n1,2,red\n", "test.csv: target column 'y' is not there"),
        ("a,colour,y\n1,red,2\n", "test.csv: input column 'b' is not there"),
        ("a,b,colour,y\n1,x,red,2\n", "test.csv: column 'b' has text .* row 1: 'x'"),
        ("a,b,colour,y\n1,,red,2\n1,2,red,3\n", r"test.csv: missing values in 'b' \(1 row\), of 2 rows"),
    ],
)
def test_a_test_file_that_does_not_fit(write, data_config, content, message):
    config = data_config(
        write("t.csv", TABLE), categorical=["colour"], test={"path": write("test.csv", content)}
    )
    with pytest.raises(DataError, match=message):
        load_dataset(config, "regression")


GAPS = "a,b,y\n1,,3\n2,5,4\n,,5\n4,NaN,6\n5,7,\n6,7,8\n7,9,1\n"


def test_missing_values_are_refused_with_columns_and_counts(write, data_config):
    with pytest.raises(
        DataError, match=r"t.csv: missing values in 'a' \(1 row\), 'b' \(3 rows\), 'y' \(1 row\), of 7 rows"
    ):
        load_dataset(data_config(write("t.csv", GAPS)), "regression")


def test_missing_values_are_dropped_and_counted(write, data_config):
    path = write("t.csv", GAPS)
    data = load_dataset(data_config(path, missing="drop"), "regression")
    assert len(data.X) == 3
    assert data.notes == [
        f"{path}: 4 of 7 rows dropped for missing values: 'a' (1 row), 'b' (3 rows), 'y' (1 row)"
    ]
    assert load_dataset(data_config(path, missing="drop", inputs=["a"]), "regression").X.shape == (5, 1)


def test_a_constant_column_neither_fails_nor_becomes_nan(write, data_config):
    data = load_dataset(data_config(write("t.csv", "a,c,y\n1,5,1\n2,5,1\n3,5,1\n")), "regression")
    np.testing.assert_array_equal(data.X[:, 1], 0)
    np.testing.assert_array_equal(data.Y, 0)
    assert data.columns.input_scale[1] == data.columns.target_scale[0] == 1
    assert data.notes == [
        "input 'c': constant over the training rows; kept, with scale 1",
        "target 'y': constant over the training rows; kept, with scale 1",
    ]


def test_levels_come_from_training_rows_only(write, data_config):
    path = write("t.csv", "c,y\n" + "".join(f"k{i},{i}\n" for i in range(10)))
    data = load_dataset(data_config(path, categorical=["c"], test={"fraction": 0.3}), "regression")
    assert data.X.shape == (7, 7)
    np.testing.assert_array_equal(data.X_test, np.zeros((3, 7)))
    assert data.notes == ["3 test rows with a level of 'c' that no training row has: all zeros there"]


def test_codes_with_leading_zeros_are_levels_of_their_own(write, data_config):
    path = write("t.csv", "zip,y\n01,1\n1,2\n02,3\n")
    columns = load_dataset(data_config(path, categorical=["zip"]), "regression").columns
    assert columns.input_names == ["zip=01", "zip=1", "zip=02"] and columns.categorical == ["zip"]
    X = columns.transform_inputs(read_table(path, text=columns.categorical))
    np.testing.assert_array_equal(X, [[1, 0, 0], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("missing", ["error", "drop"])
def test_a_column_without_values_is_named(write, data_config, missing):
    with pytest.raises(DataError, match=r"t.csv: 'b' has no values at all .* leave such columns out"):
        load_dataset(data_config(write("t.csv", "a,b,y\n1,,3\n2,nan,4\n"), missing=missing), "regression")


@pytest.mark.parametrize(
    "content, changes, message",
    [
        ("a,y\n1,2\n", {}, "1 training row; at least 2"),
        ("a,y\n1,2\n2,3\n", {"test": {"fraction": 0.5}}, "2 rows with 1 held out leave 1 to train on"),
        ("a,b,y\n1,,2\n,2,3\n", {"missing": "drop"}, "no row is left"),
        ("a,y\n1,2\ninf,3\n", {}, r"infinite values in 'a' \(1 row, first row 2\)"),
        ("a,y\n1,2\n1,-inf\n", {"missing": "drop"}, "infinite values in 'y'"),
        (
            "a,city,y\n1,Rome,2\n2,Paris,3\n",
            {},
            "column 'city' .* row 1: 'Rome'; list it under data.categorical",
        ),
        ("a,b,y\n1,2,2\n2,x3,3\n", {}, "column 'b' .* row 2: 'x3'"),
        (
            "a,price\n1,2\n2,3\n",
            {"target": "pirce"},
            r"target column 'pirce' is not there; did you mean 'price'\?",
        ),
        ("a,y\n1,2\n2,3\n", {"inputs": ["A"]}, r"input column 'A' is not there; did you mean 'a'\?"),
        (
            "a,y\n1,2\n2,3\n",
            {"categorical": ["aa"]},
            r"data.categorical: 'aa' is not an input; did you mean 'a'\?",
        ),
        ("y\n1\n2\n", {}, "no input column is left beside the target 'y'"),
        ("a~y\n1~2\n2~3\n", {}, "target column 'y' is not there .*is the delimiter right"),
        ("a,y\n1,2020-01-01\n2,2020-01-02\n", {}, "holds date32"),
    ],
)
def test_bad_tables_are_one_clear_error(write, data_config, content, changes, message):
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(data_config(write("t.csv", content), **changes), "regression")
    assert "\n" not in str(caught.value)


def test_text_labels_are_learned_as_zero_and_one(write, data_config):
    path = write("t.csv", "a,y\n" + "".join(f"{i},{'yes' if i > 6 else 'no'}\n" for i in range(10)))
    data = load_dataset(data_config(path, test={"fraction": 0.2}), "binary")
    assert data.columns.classes == ["no", "yes"]
    assert set(np.unique(data.Y)) == {0.0, 1.0} and data.columns.target_scale[0] == 1


@pytest.mark.parametrize(
    "labels, task, message",
    [
        ("1,1,1,1", "binary", "one class only"),
        ("a,b,c,a", "binary", "3 classes"),
        ("1,-2,3,4", "count", "negative value, first at row 2: -2"),
        ("1,2.5,3,4", "count", "fraction, first at row 2: 2.5"),
        ("a,b,a,b", "regression", "bernoulli"),
    ],
)
def test_targets_that_do_not_fit_the_task(write, data_config, labels, task, message):
    content = "a,y\n" + "".join(f"{i},{label}\n" for i, label in enumerate(labels.split(",")))
    with pytest.raises(DataError, match=message):
        load_dataset(data_config(write("t.csv", content)), task)


def test_a_split_that_leaves_one_class(write, data_config):
    path = write("t.csv", "a,y\n1,no\n2,yes\n3,yes\n")
    with pytest.raises(DataError, match=r"one class only \('yes'\).*change data.test.seed"):
        for seed in range(50):
            load_dataset(data_config(path, test={"fraction": 0.3, "seed": seed}), "binary")


@pytest.mark.parametrize(
    "name, task, shape",
    [
        ("curve", "regression", (180, 1)),
        ("robot_arm", "regression", (36000, 8)),
        ("two_classes", "binary", (450, 2)),
        ("counts", "count", (450, 1)),
        ("diabetes", "regression", (398, 10)),
        ("breast_cancer", "binary", (512, 30)),
        ("linnerud", "regression", (18, 3)),
    ],
)
def test_built_in_sets_load_by_name(data_config, name, task, shape):
    data = load_dataset(data_config(target=[], dataset=name, test={"fraction": 0.1}), task)
    assert data.X.shape == shape and data.name == name and data.notes == []
    assert len(data.sha256) == 64


def test_options_of_a_built_in_set_and_its_fingerprint(data_config):
    def load(**options):
        return load_dataset(data_config(target=[], dataset={"name": "curve", **options}), "regression")

    assert load(rows=50).X.shape == (50, 1)
    assert load(rows=50).sha256 == load(rows=50).sha256 != load(rows=50, seed=1).sha256
