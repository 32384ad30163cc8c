"""A resolved config reloads to an equal tree: over many random configs, and texts that YAML mistakes."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from svgp.config import Config, load_config
from svgp.config.writer import inline, yaml_text

AWKWARD = [
    "yes", "no", "on", "null", "~", "1e5", "1E-3", "0o7", "0x1F", "010", "1_000", "1:30", "2020-01-01",
    ".5", "1.",
    ".inf", ".nan", "-", "?", "a: b", "a #b", "#a", "'", '"', "[a", "{a", "&a", "*a", "!a", "%a", "@a",
    "`a", "|", ">",
    " lead", "trail ", "two\nlines", "tab\there", "é", "列", "\U0001f600", "\x85", "\u2028", "\u2029x",
    "\ufeff", "\x7f", "<<", "=", "true",
    "x" * 3000, "a " * 200, "\\", "C:\\x", "---", "...", "1e5.csv", "y[0]", "a,b",
]  # fmt: skip


def random_kernel(rng: random.Random, depth: int = 0) -> dict[str, Any]:
    if depth < 3 and rng.random() < 0.4:
        parts = [random_kernel(rng, depth + 1) for _ in range(rng.randint(1, 3))]
        return {rng.choice(["sum", "product"]): parts}
    kind = rng.choice(
        ["squared_exponential", "matern12", "matern32", "matern52", "linear", "constant", "white"]
    )
    kernel: dict[str, Any] = {"type": kind, "variance": rng.choice([None, rng.lognormvariate(0, 9)])}
    if kind not in ("constant", "white", "linear"):
        kernel["ard"] = rng.random() < 0.7
        many = [rng.lognormvariate(0, 9) for _ in range(rng.randint(1, 4))]
        kernel["lengthscales"] = rng.choice([None, rng.random() + 1e-9, many if kernel["ard"] else None])
    return kernel


def random_config(rng: random.Random) -> dict[str, Any]:
    columns = rng.sample(AWKWARD, 6)
    data: dict[str, Any] = {
        "dataset": {"name": "robot_arm", "rows": rng.randint(2, 10**10), "noise": rng.random()}
    }
    if rng.random() < 0.7:
        data = {"path": rng.choice(["a.csv", "sub dir/#1.csv", "1e5", "é/列.parquet"]), "target": columns[0]}
        data |= rng.choice([{}, {"inputs": columns[1:], "categorical": columns[2:4]}])
    data["test"] = rng.choice([None, {"fraction": rng.uniform(0.01, 0.99), "seed": 3}, {"path": "t.csv"}])
    likelihood = rng.choice(
        [{"type": "gaussian", "variance": rng.lognormvariate(0, 9)}, {"type": "poisson"}, {},
         {"type": "student_t", "df": 2 + rng.random()}, {"type": "bernoulli", "link": "logit"}]
    )  # fmt: skip
    model = {"kernel": random_kernel(rng), "likelihood": likelihood, "jitter": rng.choice([0, 1e-6, 1e-10])}
    model["inducing"] = rng.choice(
        [{"init": "file", "path": "z.csv"}, {"init": "cover_tree", "min_separation": 0.1}]
    )
    train = {"learning_rate": rng.uniform(1e-9, 1), "max_steps": rng.choice([None, 10 ** rng.randint(0, 12)])}
    return {"name": rng.choice(["a", "yes", "1e5", "é b"]), "data": data, "model": model, "train": train}


@pytest.mark.parametrize("seed", range(150))
def test_random_configs_reload_to_an_equal_tree(seed: int, folder: Path) -> None:
    config = Config.from_dict(random_config(random.Random(seed)))
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere/config.yaml").write_text(config.to_yaml(), encoding="utf-8")
    reloaded = load_config("elsewhere/config.yaml")
    assert reloaded == config
    assert reloaded.to_yaml() == config.to_yaml()
    assert Config.from_dict(config.to_dict()) == config


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_column_names_reload(text: str, folder: Path) -> None:
    config = Config.from_dict({"data": {"path": "a.csv", "target": text, "categorical": ["z", text + "'"]}})
    (folder / "c.yaml").write_text(config.to_yaml(), encoding="utf-8")
    assert load_config("c.yaml").data == config.data


@pytest.mark.parametrize("text", AWKWARD)
def test_other_readers_see_the_same_text(text: str) -> None:
    """PyYAML reads YAML 1.1; what we write means the same to it."""
    assert yaml.safe_load(yaml_text({"k": [text]})) == {"k": [text]}
    assert yaml.safe_load(f"k: {inline(text)}") == {"k": text}


@pytest.mark.parametrize("number", [0, -3, 1e-6, 1e300, 5e-324, 0.1 + 0.2, 10**12, 1e22, True, None])
def test_numbers_reload_exactly(number: Any) -> None:
    assert yaml.safe_load(yaml_text({"k": number})) == {"k": number}


def test_every_field_is_stated_and_every_path_absolute(folder: Path) -> None:
    config = Config.from_dict({"data": {"path": "a.csv", "target": "y"}, "output": {"dir": "o"}})
    plain = yaml.safe_load(config.to_yaml())
    assert list(plain) == list(Config.model_fields)
    assert plain["data"]["path"] == str(folder / "a.csv")
    assert plain["output"]["dir"] == str(folder / "o")
    assert set(plain["train"]) == set(type(config.train).model_fields)


def test_nothing_changes_a_config() -> None:
    config = Config.from_dict({"data": {"dataset": "curve"}})
    with pytest.raises(ValueError, match="frozen"):
        config.name = "other"  # type: ignore[misc]
