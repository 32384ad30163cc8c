"""The tree of errors: its exit codes, and the drawing at the top of its file."""

from __future__ import annotations

import inspect
import re

import pytest

from svgp import errors

CODES = {
    "SvgpError": 1,
    "ConfigError": 1,
    "DataError": 1,
    "ModelError": 1,
    "NumericalError": 1,
    "RunError": 1,
    "TrainingDiverged": 3,
    "Interrupted": 130,
}
CLASSES = dict(inspect.getmembers(errors, inspect.isclass))


def test_the_drawing_shows_every_error():
    assert set(CODES) == {name for name, kind in CLASSES.items() if issubclass(kind, Exception)}
    assert set(re.findall(r"\w*(?:Error|Diverged|Interrupted)\b", errors.__doc__)) == set(CODES)


@pytest.mark.parametrize("name", CODES)
def test_exit_codes_and_texts(name):
    error = CLASSES[name]("what: where; try this")
    assert isinstance(error, errors.SvgpError) and error.exit_code == CODES[name]
    assert str(error) == "what: where; try this"
    drawn = re.search(rf"{name}\s+exit code (\d+)", errors.__doc__)
    assert (int(drawn.group(1)) if drawn else 1) == CODES[name]


def test_a_config_error_holds_every_problem():
    error = errors.ConfigError(["a.yaml:1:1: x", "a.yaml:2:1: y"])
    assert error.problems == ["a.yaml:1:1: x", "a.yaml:2:1: y"] and str(error).count("\n") == 1
    assert errors.ConfigError("one").problems == ["one"]
    assert errors.ConfigError(("a", "b")).problems == ["a", "b"]
