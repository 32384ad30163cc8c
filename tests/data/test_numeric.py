from __future__ import annotations

import decimal
import math

import numpy as np
import pyarrow as pa
import pytest

from svgp.data.numeric import moments, to_float
from svgp.data.origin import mark, rechunk
from svgp.errors import DataError


@pytest.mark.parametrize(
    "column, expected",
    [
        (pa.array([1, None, 3]), [1, math.nan, 3]),
        (pa.array([1.5, None, math.nan]), [1.5, math.nan, math.nan]),
        (pa.array([True, False, None]), [1, 0, math.nan]),
        (pa.array([decimal.Decimal("1.25")] * 3), [1.25] * 3),
        (pa.array([2**62 + 1, 0, 0]), [2.0**62, 0, 0]),
        (pa.array([" 1", "2e3", "NA"]), [1, 2000, math.nan]),
        (pa.array(["1", "2", "1"]).dictionary_encode(), [1, 2, 1]),
        (pa.array([None, None, None]), [math.nan] * 3),
        (pa.array([1, 2, 3], pa.float32()), [1, 2, 3]),
        (pa.array(["1", "2", None], pa.large_string()), [1, 2, math.nan]),
    ],
)  # fmt: skip
def test_what_counts_as_numbers(column, expected):
    np.testing.assert_array_equal(to_float(pa.table({"a": column}), "a", "advice"), expected)


@pytest.mark.parametrize("place", [0, 1, 6, 9])
def test_the_first_text_is_found_with_file_and_row(place):
    values = ["1"] * 10
    values[place] = "Paris"
    values[9] = "Paris" if place == 9 else "Rome"
    table = mark(pa.table({"a": values}), "cities.csv", first_row=101)
    with pytest.raises(DataError, match=rf"cities.csv: column 'a' .* row {101 + place}: 'Paris'; advice"):
        to_float(table, "a", "advice")


def test_dates_are_no_numbers():
    with pytest.raises(DataError, match="holds date32.* values, not numbers; advice"):
        to_float(pa.table({"a": pa.array([1], pa.int32()).cast(pa.date32())}), "a", "advice")


@pytest.mark.parametrize(
    "origin, unit", [(0, 1), (1e9, 1e-3), (1e15, 8), (-1e9, 1), (0, 1e-200), (0, 1e200), (1e160, 1e155)]
)
def test_moments_far_from_the_origin(origin, unit):
    values = origin + unit * np.random.default_rng(0).standard_normal(1000)
    exact = [decimal.Decimal(float(v)) for v in values]  # 28 digits: exact for this purpose
    mean = sum(exact) / len(exact)
    variance = sum((v - mean) ** 2 for v in exact) / len(exact)
    found = moments(values)
    assert found[0] == pytest.approx(float(mean), rel=1e-15, abs=1e-15 * unit)
    assert found[1] == pytest.approx(float(variance.sqrt()), rel=1e-12)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 + 1e-3, -1e300, 1e-310])
def test_a_constant_has_a_deviation_of_exactly_zero(value):
    assert moments(np.full(1001, value)) == (value, 0.0)


def test_rechunk_numbers_the_rows():
    tables = [pa.table({"a": np.arange(start, stop)}) for start, stop in [(0, 5), (5, 5), (5, 6), (6, 20)]]
    pieces = list(rechunk(tables, 4, "src"))
    assert [piece["a"].to_pylist()[0] for piece in pieces] == [0, 4, 8, 12, 16]
    assert [piece.schema.metadata[b"svgp.first_row"] for piece in pieces] == [b"1", b"5", b"9", b"13", b"17"]
