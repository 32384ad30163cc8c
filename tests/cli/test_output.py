"""Numbers and tables as a person reads them."""

from __future__ import annotations

import pytest

from svgp.cli.output import number, print_table


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.123456, "0.1235"), (12345.6, "12,346"), (1e-7, "1e-07"), (1e12, "1e+12"), (3, "3"), (54000, "54,000"),
     (None, "-"), (float("nan"), "-"), ("text", "text"), (True, "True"), (-0.5, "-0.5")],
)  # fmt: skip
def test_number(value, shown):
    assert number(value) == shown


def test_a_table_is_aligned_and_never_cut(capsys):
    long = "x" * 200
    print_table(["name", "rmse"], [[long, "1"], ["b", "12.5"]], right=("rmse",))
    header, first, second = capsys.readouterr().out.splitlines()
    assert header == "name" + " " * 198 + "rmse"
    assert first == long + "     1"
    assert second == "b" + " " * 201 + "12.5"


def test_a_name_with_an_end_of_line_stays_on_its_line(capsys):
    print_table(["column", "n"], [["two\nlines\there", "1"]])
    assert capsys.readouterr().out.splitlines()[1:] == ["two lines here  1"]
