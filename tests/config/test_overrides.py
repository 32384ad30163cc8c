"""KEY=VALUE: the same validator, and problems that name the override."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from svgp.config import Config, GammaPrior, LogNormalPrior, kernel_section, load_config
from svgp.config.kernels.combination import SumKernel

FILE = """\
data: {path: a.csv, target: y}
model:
  kernel: {sum: [{type: matern32, ard: false}, {type: linear}]}
"""


def load(folder: Path, *overrides: str, text: str = FILE) -> Config:
    (folder / "c.yaml").write_text(text)
    return load_config("c.yaml", overrides)


@pytest.mark.parametrize(
    ("override", "dotted", "value"),
    [
        ("train.learning_rate=1e-3", "train.learning_rate", 1e-3),
        ("train.max_steps=1e3", "train.max_steps", 1000),
        ("train.max_seconds=60", "train.max_seconds", 60.0),
        ("train.max_epochs=null", "train.max_epochs", None),
        ("name=on", "name", "on"),
        ("name= spaced ", "name", "spaced"),
        ("data.target=[a,b]", "data.target", ["a", "b"]),
        ("data.target=[a, 'b=c']", "data.target", ["a", "b=c"]),
        ("data.standardize=false", "data.standardize", False),
        ("train={seed: 4}", "train.seed", 4),
        ("model.posterior.whiten=true", "model.posterior.whiten", True),
    ],
)
def test_values(folder: Path, override: str, dotted: str, value: Any) -> None:
    found: Any = load(
        folder, override, "train.max_steps=1" if "max_epochs" in override else "name=n", override
    )
    for key in dotted.split("."):
        found = getattr(found, key)
    assert found == value and type(found) is type(value)


def test_the_last_one_wins_and_others_stay(folder: Path) -> None:
    config = load(folder, "train.seed=1", "train.seed=2", "train={batch_size: 5}")
    assert (config.train.seed, config.train.batch_size) == (2, 5)


def test_list_items_by_number(folder: Path) -> None:
    kernel = load(folder, "model.kernel.sum.0.type=matern52", "model.kernel.sum.1={type: white}").model.kernel
    first, second = kernel.sum  # type: ignore[union-attr]
    assert first == kernel_section("matern52", ard=False)  # an override of the type keeps the rest
    assert second == kernel_section("white")


def test_an_items_number_in_the_list_of_another_override(folder: Path) -> None:
    kernel = load(folder, "model.kernel={sum: [{}, {}]}", "model.kernel.sum.1.type=white").model.kernel
    assert kernel == SumKernel(sum=[kernel_section(), kernel_section("white")])


def test_an_override_of_the_type_keeps_what_the_new_type_has_too(folder: Path) -> None:
    text = "data: {dataset: curve}\nmodel:\n  kernel: {type: matern32, ard: false, lengthscales: 2}\n"
    text += "  likelihood: {type: gaussian, variance: 0.1}\n"
    config = load(folder, "model.kernel.type=matern52", "model.likelihood.type=student_t", text=text)
    assert config.model.kernel == kernel_section("matern52", ard=False, lengthscales=2.0)
    assert config.model.likelihood.type == "student_t"
    assert load(folder, "model.kernel.type=linear", text=text).model.kernel == kernel_section(
        type="linear", ard=False
    )
    for order in (1, -1):
        both = ["model.kernel.ard=true", "model.kernel.type=matern12"][::order]
        assert load(folder, *both, text=text).model.kernel == kernel_section("matern12", lengthscales=2.0)


def test_another_source_of_data(folder: Path) -> None:
    config = load(folder, "data.dataset=robot_arm", "data.dataset.rows=1e3", "data.target=[]")
    assert config.data.path is None and config.data.dataset is not None
    assert config.data.dataset.options == {"rows": 1000}


def test_problems_name_the_override(problems) -> None:
    found = problems(
        FILE, "train.learning_rat=1", "train.seed=x", "foo", "=3", "a..b=1", "data.target=[",
        "extends=b.yaml",
        "model.kernel.sum.5.type=linear", "model.kernel.sum.x=1", "train.seed.low=1", "train.batch_size=",
        "name=!!str x",
    )  # fmt: skip
    no_item = "model.kernel.sum: the list has no item"
    whole = "expected a whole number of at least"
    assert found == [
        "override 'train.learning_rat=1': train.learning_rat: unknown key; did you mean 'learning_rate'?",
        # train.seed=x is replaced by train.seed.low=1.
        "override 'foo': expected KEY=VALUE, such as train.learning_rate=1e-3",
        "override '=3': expected KEY=VALUE, such as train.learning_rate=1e-3",
        "override 'a..b=1': expected KEY=VALUE, such as train.learning_rate=1e-3",
        found[4],
        "override 'extends=b.yaml': extends: can be stated in a file only; name that file as the config",
        f"override 'model.kernel.sum.5.type=linear': {no_item} '5'; its items are 0 to 1",
        f"override 'model.kernel.sum.x=1': {no_item} 'x'; its items are 0 to 1",
        f"override 'train.seed.low=1': train.seed: {whole} 0 and at most 2,147,483,647 (a seed), "
        "got a mapping",
        f"override 'train.batch_size=': train.batch_size: {whole} 1 and at most 100,000,000 or 'auto' "
        "(rows), got null",
        "override 'name=!!str x': name: the tag '!!str' is refused: "
        "a config is plain text, numbers, lists and keys",
    ]
    assert found[4].startswith("override 'data.target=[': data.target: not valid YAML: ")


def test_problems_of_file_and_overrides_come_together(problems) -> None:
    found = problems(FILE + "train: {seed: -1}\n", "train.batch_size=-1")
    assert [line.split(": ")[0] for line in found] == ["c.yaml:4:15", "override 'train.batch_size=-1'"]


def test_overrides_that_contradict_each_other_are_not_dropped_in_silence(problems) -> None:
    (found,) = problems(FILE, "data.path=b.csv", "data.dataset=curve")
    assert found == "override 'data.dataset=curve': data.dataset: give 'path' or 'dataset', not both"
    (found,) = problems(FILE, "model.kernel={type: matern32, lengthscales: 2}", "model.kernel.type=linear")
    assert "model.kernel.lengthscales: unknown key beside type: linear; it goes with" in found


def test_what_the_file_leaves_out_is_reported_in_the_file(problems) -> None:
    (found,) = problems("data: {path: a.csv}\n", "data.missing=drop")
    assert found.startswith("c.yaml:1:1: data.target: missing; ")


def test_another_prior_replaces_the_whole_of_the_old_one(folder: Path) -> None:
    text = FILE + "  priors: {noise: {type: gamma, shape: 2, rate: 3}}\n"
    config = load(folder, "model.priors.noise={type: lognormal, median: 1, sigma: 2}", text=text)
    assert config.model.priors.noise == LogNormalPrior(type="lognormal", median=1.0, sigma=2.0)
    assert load(folder, "model.priors.noise=null", text=text).model.priors.noise is None
    changed = load(folder, "model.priors.noise.rate=4", text=text).model.priors.noise
    assert changed == GammaPrior(type="gamma", shape=2.0, rate=4.0)
