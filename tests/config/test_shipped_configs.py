"""The configs of this repository: each validates, keeps its runs together, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from svgp.config import KERNELS, load_config
from svgp.config.kernels import kernel_sections
from svgp.config.likelihoods import LIKELIHOODS
from svgp.config.means import MEANS

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "configs").glob("*.yaml"))
FEATURES = sorted((ROOT / "configs/features").glob("*.yaml"))  # a likelihood, kernel, mean or structure each


def test_all_are_here() -> None:
    assert {path.stem for path in SHIPPED} >= {
        "quickstart", "curve", "two_classes", "counts", "diabetes", "breast_cancer", "robot_arm", "template",
        "linnerud",
    }  # fmt: skip


@pytest.mark.parametrize("path", [*SHIPPED, *FEATURES], ids=lambda path: path.stem)
def test_each_validates(path: Path) -> None:
    config = load_config(path)
    assert config.name == path.stem
    assert config.output.dir == ROOT / "runs"
    assert config.data.path is None or config.data.path.exists()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_each_explains_itself(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert sum("#" in line for line in lines) >= 6
    assert max(map(len, lines)) <= 110


def test_each_feature_says_what_it_is_for():
    for path in FEATURES:
        lines = path.read_text().splitlines()
        assert lines[0].startswith("# ") and lines[0].endswith("."), path
        assert max(map(len, lines)) <= 110, path


def test_each_likelihood_kernel_mean_and_structure_has_a_config():
    models = [load_config(path).model for path in [*SHIPPED, *FEATURES]]
    kernels = {type(section) for model in models for _, section in kernel_sections(model.kernel)}
    assert {KERNELS[name] for name in KERNELS} - kernels == {
        KERNELS[name]
        for name in ("sum", "product", "matern12", "white")  # in the template's comments
    }
    assert {model.likelihood.type_name for model in models} == set(LIKELIHOODS)
    assert {model.mean.type for model in models} == set(MEANS)
    assert {model.outputs.type for model in models} == {"independent", "lmc", "icm"}


def test_likelihoods_suit_the_data() -> None:
    tasks = {path.stem: load_config(path).model.likelihood.task for path in SHIPPED}
    assert {stem for stem, task in tasks.items() if task == "binary"} == {"two_classes", "breast_cancer"}
    assert {stem for stem, task in tasks.items() if task == "count"} == {"counts", "visits"}
    assert {stem for stem, task in tasks.items() if task == "multiclass"} == {"digits"}


def test_the_template_shows_every_common_setting() -> None:
    """Each key of data, model and train stands in the template, so that nobody has to look for it."""
    import yaml

    text = yaml.safe_load((ROOT / "configs/template.yaml").read_text())
    config = load_config(ROOT / "configs/template.yaml")
    assert set(text["data"]) == set(type(config.data).model_fields) - {"dataset"}
    assert set(text["model"]) == set(type(config.model).model_fields)
    assert set(text["train"]) == set(type(config.train).model_fields)
