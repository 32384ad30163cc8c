"""Words of YAML 1.2's core schema (yaml.org, 10.3.2), and the traps of YAML 1.1 that it closes."""

from __future__ import annotations

import math

import pytest

from svgp.config.scalars import resolve


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("1e-3", 1e-3), ("1E5", 1e5), ("1e-4", 1e-4), ("1e+5", 1e5), ("-2.5E-3", -2.5e-3), (".5", 0.5),
        ("1.", 1.0),
        ("0", 0), ("-7", -7), ("+3", 3), ("010", 10), ("0o10", 8), ("0x1F", 31), ("1.5", 1.5),
        ("true", True), ("True", True), ("FALSE", False), ("", None), ("~", None), ("null", None),
        ("NULL", None),
    ],
)  # fmt: skip
def test_words_with_a_meaning(word: str, value: object) -> None:
    found = resolve(word)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "word",
    ["yes", "no", "on", "off", "Y", "N", "1:30", "2020-01-01", "1_000", "1e", "e5", ".", "-", "tRue",
    "nuLL", "1 2",
     "0x", "nan", "inf", "1.2.3", "1e5\n"],
)  # fmt: skip
def test_words_that_stay_text(word: str) -> None:
    assert resolve(word) == word


def test_special_floats() -> None:
    assert resolve(".inf") == math.inf
    assert resolve("-.INF") == -math.inf
    assert math.isnan(resolve(".nan"))  # type: ignore[arg-type]


def test_a_number_of_thousands_of_digits_is_text_instead_of_a_crash() -> None:
    assert resolve("9" * 5000) == "9" * 5000
