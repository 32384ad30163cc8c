"""What is said about values that do not fit: where, expected, got, and the likely fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from svgp.config import Config
from svgp.errors import ConfigError

DATA = "data: {dataset: curve}\n"
_, *_BLOCKS = Path(__file__).with_name("wrong_configs.txt").read_text(encoding="utf-8").strip().split("\n\n")
WRONG = [tuple(block.split("\n! ")) for block in _BLOCKS]


@pytest.mark.parametrize(("text", "problem"), WRONG, ids=[text.split("\n")[0] for text, _ in WRONG])
def test_what_is_said(problems, text: str, problem: str) -> None:
    (found,) = problems(text + "\n")
    assert problem in found


def test_all_problems_at_once_in_the_order_of_the_file(problems) -> None:
    text = (
        "nam: x\n"
        "data: {path: a.csv, target: y, missing: drp}\n"
        "model:\n"
        "  inducing:\n"
        "    count: 0\n"
        "    cuont: 12\n"
        "  posterior: {type: full}\n"
        "  posterior: {type: full}\n"
        "train: {learning_rate: '1e-3'}\n"
    )
    assert problems(text) == [
        "c.yaml:1:1: nam: unknown key; did you mean 'name'?",
        "c.yaml:2:41: data.missing: expected 'error', 'drop' or 'indicator', got 'drp'; did you mean 'drop'?",
        "c.yaml:5:12: model.inducing.count: "
        "expected a whole number of at least 1 and at most 100,000 or 'auto' (points), got 0",
        "c.yaml:6:5: model.inducing.cuont: unknown key; did you mean 'count'?",
        "c.yaml:8:3: duplicate key 'posterior'; it is first given at line 7",
        "c.yaml:9:24: train.learning_rate: expected a number above 0 and at most 10 (a step in parameters) "
        "or null, got '1e-3'; did you mean 0.001?",
    ]


def test_missing_data(problems) -> None:
    assert problems("name: x\n") == [
        "c.yaml:1:1: data: missing; expected a mapping such as {path: table.csv, target: y}"
    ]


def test_long_values_are_cut(problems) -> None:
    (found,) = problems(DATA + f"train: {{seed: {'x' * 5000}}}\n")
    assert len(found) < 250 and "xxx..." in found


def test_braces_in_a_message_are_kept(problems) -> None:
    (found,) = problems(DATA + "name: 'a/{conflicts}{x}{{'\n")
    assert found.endswith("got 'a/{conflicts}{x}{{'")


def test_from_dict_names_keys_without_a_file() -> None:
    with pytest.raises(ConfigError) as raised:
        Config.from_dict({"data": {"dataset": "curve"}, "train": {"sed": 1, "seed": "x"}})
    assert raised.value.problems == [
        "train.seed: expected a whole number of at least 0 and at most 2,147,483,647 (a seed), got 'x'",
        "train.sed: unknown key; did you mean 'seed'?",
    ]


def test_integral_floats_are_whole_numbers(folder) -> None:
    config = Config.from_dict(
        {"data": {"dataset": {"name": "robot_arm", "rows": 1e9}}, "train": {"max_steps": 2e3}}
    )
    assert config.data.dataset is not None and config.data.dataset.rows == 10**9
    assert isinstance(config.train.max_steps, int)
