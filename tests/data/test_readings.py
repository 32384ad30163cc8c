"""How text becomes numbers and dates: every decision, what it gives, and what is left in doubt."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from svgp.data import Columns, iter_tables, load_dataset, read_table
from svgp.data.readings import Reading
from svgp.data.survey import Survey
from svgp.errors import DataError

# file, settings, the first column's numbers
NUMBERS = {
    "decimal comma": ("a;y\n1,5;2\n-20,25;3\n", {}, [1.5, -20.25]),
    "both marks": ("a;y\n1.234,5;2\n20;3\n", {}, [1234.5, 20]),
    "points are thousands where another column has decimal commas": (
        "a;b;y\n1.234;0,5;2\n2.000;1,5;3\n", {}, [1234, 2000],
    ),
    "points are decimals where nothing says otherwise": ("a;y\n1.234;2\n2.000;3\n", {}, [1.234, 2.0]),
    "several groups tell": ('a,y\n"1,234,567",2\n"2,000",3\n', {}, [1234567, 2000]),
    "a group of two tells": ('a,y\n"1,23",2\n"2,000",3\n', {}, [1.23, 2.0]),
    "a leading zero tells": ('a,y\n"0,123",2\n"2,000",3\n', {}, [0.123, 2.0]),
    "another column tells: points": ('a,b,y\n"1,234",0.5,2\n"2,000","1,000.5",3\n', {}, [1234, 2000]),
    "another column tells: commas": ('a,b,y\n"1,234","0,5",2\n"2,000",3,3\n', {}, [1.234, 2.0]),
    "the config tells: decimal": ('a,y\n"1,234",2\n"2,000",3\n', {"format": {"decimal": ","}}, [1.234, 2]),
    "the config tells: thousands": (
        'a,y\n"1,234",2\n"2,000",3\n', {"format": {"thousands": ","}}, [1234, 2000],
    ),
    "the config tells of one column": (
        "a;y\n1.234;2\n2.000;3\n", {"columns": {"a": {"thousands": "."}}}, [1234, 2000],
    ),
    "blanks, also narrow ones": ("a;y\n1\u202f234,5;2\n20 000;3\n", {}, [1234.5, 20000]),
    "apostrophes": ("a;y\n1'234.5;2\n20\u2019000;3\n", {}, [1234.5, 20000]),
    "a true minus": ("a;y\n\u22121,5;2\n+2;3\n", {}, [-1.5, 2]),
    "exponents": ("a;y\n1,5e3;2\n2E-1;3\n", {}, [1500, 0.2]),
    "percent": ("a,y\n12 %,2\n12.5%,3\n", {"columns": {"a": {"unit": "percent"}}}, [12, 12.5]),
    "dollars": ('a,y\n"$1,234.50",2\n-$3,3\n', {"columns": {"a": {"unit": "currency"}}}, [1234.5, -3]),
    "euros": ("a;y\n1.234,50 €;2\n3 EUR;3\n", {"columns": {"a": {"unit": "currency"}}}, [1234.5, 3]),
    "huge integers": ("a,y\n123456789012345678901234567890,2\n2e29,3\n", {}, [1.2345678901234568e29, 2e29]),
    "dates": ("a,y\n1970-01-02,2\n2024-02-29,3\n", {}, [1, 19782]),
    "dates and times": ("a,y\n1970-01-02 12:00,2\n1970-01-01T06:00:00,3\n", {}, [1.5, 0.25]),
    "times with an offset": ("a,y\n1970-01-02T12:00:00+12:00,2\n1970-01-01T06:00Z,3\n", {}, [1, 0.25]),
    "points": ("a;y\n02.01.1970;2\n29.02.2024;3\n", {}, [1, 19782]),
    "the month first": ("a,y\n02/01/1970,2\n02/29/2024,3\n", {}, [31, 19782]),
    "the day first": ("a,y\n02/01/1970,2\n29/02/2024,3\n", {}, [1, 19782]),
    "months in words": ("a,y\n2-Jan-1970,2\n29-Feb-2024,3\n", {}, [1, 19782]),
    "half days": ("a,y\n01/13/1970 12:00 PM,2\n1/1/1970 6:00 AM,3\n", {}, [12.5, 0.25]),
    "times of day": ("a,y\n10:30,2\n06:15,3\n", {}, [10.5, 6.25]),
    "whole numbers by choice": ("a,y\n19700102,2\n20240229,3\n", {"columns": {"a": {"format": "%Y%m%d"}}},
                                [1, 19782]),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_what_text_means(write, data_config, name):
    content, settings, expected = NUMBERS[name]
    dataset = load_dataset(data_config(write("t.csv", content), **settings), "regression")
    columns = dataset.columns
    found = dataset.X[:, 0] * columns.input_scale[0] + columns.input_mean[0]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-12)
    again = Columns.from_dict(columns.to_dict())
    assert again.readings == columns.readings
    assert all(any(f"'{name}'" in note for note in dataset.notes) for name in columns.readings)


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        ('a,y\n"1,234",2\n"2,000",3\n', {}, r"column 'a' .*'1,234', which may be 1.234 .* or 1234 "),
        ("a,y\n01/02/2024,2\n03/04/2024,3\n", {}, "may be 1 February 2024 or 2 January 2024; .*%m/%d/%Y"),
        ("a,y\n12 %,2\n3,3\n", {}, r"holds percent signs \('12 %'\); set data.columns: {a: {unit: percent}}"),
        ("a,y\n$12,2\n$3,3\n", {}, "holds currency signs .*unit: currency"),
        (
            "a;y\n1,5;2\n2.5.1;3\n",
            {"columns": {"a": {"type": "number", "decimal": ","}}},
            "decimal ','; row 2 has '2.5.1'",
        ),
        ("a,y\n31.02.2024,2\n1.1.2024,3\n", {"columns": {"a": {"type": "date"}}}, "row 1 has '31.02.2024'"),
        ("a,y\nx,2\nz,3\n", {}, "column 'a' has text where a number is needed"),
        ("a,y\n1,2\nz,3\n", {"columns": {"b": {"type": "date"}}}, "data.columns: column 'b' is not there"),
        ("a,y\n10:30,2\n,3\n", {"columns": {"a": {"parts": ["month"]}}}, "which have no month"),
        ("a,y\n1,2024-01-01\n2,2024-01-02\n", {}, "column 'y' holds date32"),
    ],
)
def test_what_is_left_in_doubt_is_an_error(write, data_config, content, settings, message):
    with pytest.raises(DataError, match=message):
        load_dataset(data_config(write("t.csv", content), **settings), "regression")


def test_parts_of_dates_are_inputs_of_their_own(write, data_config):
    path = write("t.csv", "when,b,y\n2024-02-28 23:30,1,2\n2024-12-30 01:15,2,3\n")
    parts = ["year", "month", "day", "day_of_year", "weekday", "hour", "minute"]
    config = data_config(path, columns={"when": {"parts": parts}}, standardize=False)
    dataset = load_dataset(config, "regression")
    assert dataset.columns.input_names == ["when", *(f"when.{part}" for part in parts), "b"]
    # 28 February 2024 was a Wednesday, 30 December 2024 a Monday.
    np.testing.assert_array_equal(
        dataset.X[:, 1:], [[2024, 2, 28, 59, 2, 23, 30, 1], [2024, 12, 30, 365, 0, 1, 15, 2]]
    )


def trained(write, data_config, content, **settings):
    return load_dataset(data_config(write("train.csv", content), **settings), "regression").columns


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a;when;y\n2,5;03.02.2024;0\n", [2.5, 19756]),
        ("a,when,y\n2.5,2024-02-03,0\n", [2.5, 19756]),
        ('a,when,y\n"1,234",03/02/2024,0\n', [1.234, 19756]),
        ("a;when;y\n1.234;03.02.2024;0\n", [1234, 19756]),  # as in training: its marks, where both could be
    ],
)
def test_a_new_file_is_read_by_its_own_marks_and_by_training_where_they_leave_it_open(
    write, data_config, content, expected
):

    columns = trained(write, data_config, "a;when;y\n1.000,5;01/02/2024;1\n-7,0;25/02/2024;3\n")
    path = write("new.csv", content)
    text = columns.text
    for source in (lambda: [read_table(path, text=text)], lambda: iter_tables(path, text=text)):
        matched = columns.matched(source())
        X = matched.transform_inputs(next(iter(source())))
        raw = X * columns.input_scale + columns.input_mean
        np.testing.assert_allclose(raw[0], expected, rtol=1e-12)


def test_a_stream_of_numbers_alone_is_not_read_twice(write, data_config):
    columns = trained(write, data_config, "a,y\n1,2\n2,3\n3,5\n")

    def pieces():
        yield pa.table({"a": [1.0]})
        raise AssertionError("a second piece was asked for")

    assert columns.matched(pieces()).readings == {}


def test_a_test_file_may_be_written_differently(write, data_config):
    test = write("test.csv", "a,y\n1.5,2.5\n")
    config = data_config(write("t.csv", "a;y\n1,5;2,5\n3,5;4\n"), test={"path": test})
    dataset = load_dataset(config, "regression")
    np.testing.assert_allclose(dataset.X_test, dataset.X[:1])
    np.testing.assert_allclose(dataset.Y_test, dataset.Y[:1])


def test_old_columns_without_readings_load():
    data = Columns.fit(
        pa.table({"a": [1.0, 2.0], "y": [1.0, 3.0]}), task="regression", inputs=["a"], targets=["y"]
    ).to_dict()
    del data["readings"]
    assert Columns.from_dict(data).readings == {}


def test_readings_are_plain_settings():
    reading = Reading("date", style="%d.%m.%Y", parts=("month",))
    assert Reading.from_settings(reading.settings()) == reading
    assert "when.month" in reading.describe("when")


def test_days_that_equal_their_month_leave_nothing_open_and_the_example_shows_both_readings():
    decided = Survey().add(pa.table({"d": ["01/01/2024", "02/02/2024"]})).decide()["d"]
    assert isinstance(decided, Reading) and decided.type == "date"
    doubt = Survey().add(pa.table({"d": ["01/01/2024", "03/02/2024"]})).decide()["d"]
    assert "may be 3 February 2024 or 2 March 2024" in doubt.reason
