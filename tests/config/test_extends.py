"""`extends`: chains, cycles, and what a child changes of its base."""

from __future__ import annotations

from pathlib import Path

import pytest

from svgp.config import Config, GaussianLikelihood, StudentTLikelihood, kernel_section, load_config
from svgp.config.kernels.combination import SumKernel

from .conftest import problems_of


def extend(folder: Path, base: str, child: str, *overrides: str) -> Config:
    (folder / "base.yaml").write_text(base)
    (folder / "child.yaml").write_text(f"extends: base.yaml\n{child}")
    return load_config("child.yaml", overrides)


BASE = "data: {dataset: curve}\n"


def test_mappings_merge_and_the_child_wins(folder: Path) -> None:
    config = extend(
        folder, BASE + "train: {seed: 1, batch_size: 64}\nname: base\n", "train: {seed: 2}\nname: child\n"
    )
    assert (config.train.seed, config.train.batch_size, config.name) == (2, 64, "child")


def test_a_chain_keeps_each_files_paths(folder: Path) -> None:
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/root.yaml").write_text("data: {path: x.csv, target: y, test: {path: t.csv}}\n")
    (folder / "a/middle.yaml").write_text("extends: b/root.yaml\noutput: {dir: out}\ntrain: {seed: 4}\n")
    (folder / "top.yaml").write_text("extends: a/middle.yaml\ndata: {test: {path: u.csv}}\n")
    config = load_config("top.yaml")
    assert config.data.path == folder / "a/b/x.csv"
    assert config.data.test is not None and config.data.test.path == folder / "u.csv"
    assert config.output.dir == folder / "a/out"
    assert config.train.seed == 4


def test_cycles_are_refused(folder: Path) -> None:
    (folder / "a.yaml").write_text("extends: b.yaml\n")
    (folder / "b.yaml").write_text("name: b\nextends: ./a.yaml\n")
    assert problems_of("a.yaml") == ["b.yaml:2:10: extends: 'a.yaml' is in its own chain of extends"]
    (folder / "self.yaml").write_text("extends: self.yaml\n")
    assert problems_of("self.yaml") == ["self.yaml:1:10: extends: 'self.yaml' is in its own chain of extends"]


def test_a_base_that_cannot_be_used(folder: Path) -> None:
    (folder / "list.yaml").write_text("- 1\n")
    (folder / "c.yaml").write_text("name: x\nextends: gone.yaml\n")
    assert problems_of("c.yaml") == ["c.yaml:2:10: extends: 'gone.yaml': no such file"]
    (folder / "c.yaml").write_text("extends: list.yaml\n")
    assert problems_of("c.yaml") == [
        "list.yaml:1:1: extends: expected a mapping: this file is extended by another config"
    ]
    for bad in ("[a.yaml, b.yaml]", "3", "", "{a: 1}"):
        (folder / "c.yaml").write_text(f"extends: {bad}\n")
        (found,) = problems_of("c.yaml")
        assert found.endswith("extends: expected the path of one config file, such as base.yaml")


def test_problems_of_base_and_child_come_together(folder: Path) -> None:
    (folder / "base.yaml").write_text(BASE + "train: {sed: 1}\n")
    (folder / "child.yaml").write_text("extends: base.yaml\ntrain: {batch_size: 0}\n")
    found = problems_of("child.yaml")
    assert [line.split(": ")[0] for line in found] == ["child.yaml:2:21", "base.yaml:2:9"]


def test_another_kernel_replaces_the_block_and_the_same_one_merges(folder: Path) -> None:
    base = BASE + "model: {kernel: {type: matern32, ard: false, lengthscales: 2.0}}\n"
    replaced = extend(folder, base, "model: {kernel: {type: linear}}\n").model.kernel
    assert replaced == kernel_section("linear")
    merged = extend(folder, base, "model: {kernel: {lengthscales: 3}}\n").model.kernel
    assert merged == kernel_section(ard=False, lengthscales=3.0)
    total = extend(folder, base, "model: {kernel: {sum: [{type: linear}, {}]}}\n").model.kernel
    assert total == SumKernel(sum=[kernel_section("linear"), kernel_section()])


def test_a_sum_becomes_a_single_kernel(folder: Path) -> None:
    base = BASE + "model: {kernel: {sum: [{type: linear}, {type: white}]}}\n"
    assert extend(folder, base, "model: {kernel: {type: matern12}}\n").model.kernel == kernel_section(
        type="matern12"
    )
    assert extend(folder, base, "", "model.kernel.type=matern12").model.kernel == kernel_section(
        type="matern12"
    )


def test_another_likelihood_replaces_the_block(folder: Path) -> None:
    base = BASE + "model: {likelihood: {type: student_t, df: 5.0, scale: 2.0}}\n"
    assert (
        extend(folder, base, "model: {likelihood: {type: gaussian}}\n").model.likelihood
        == GaussianLikelihood()
    )
    kept = extend(folder, base, "model: {likelihood: {df: 7}}\n").model.likelihood
    assert kept == StudentTLikelihood(type="student_t", df=7.0, scale=2.0)


@pytest.mark.parametrize(
    ("base", "child", "path", "dataset"),
    [
        ("data: {path: a.csv, target: y}\n", "data: {dataset: curve}\n", None, "curve"),
        (
            "data: {dataset: {name: robot_arm, rows: 100}}\n",
            "data: {path: a.csv, target: y}\n",
            "a.csv",
            None,
        ),
        ("data: {dataset: {name: robot_arm, rows: 100}}\n", "data: {dataset: diabetes}\n", None, "diabetes"),
        ("data: {dataset: robot_arm}\n", "data: {dataset: {rows: 100}}\n", None, "robot_arm"),
    ],
)
def test_one_source_of_data_pushes_out_the_other(folder: Path, base, child, path, dataset) -> None:
    data = extend(folder, base, child).data
    assert (data.path and data.path.name) == path
    assert (data.dataset and data.dataset.name) == dataset
    if dataset == "robot_arm":
        assert data.dataset is not None and data.dataset.options == {"rows": 100}


def test_a_test_file_pushes_out_a_fraction_and_back(folder: Path) -> None:
    test = extend(
        folder, "data: {dataset: curve, test: {fraction: 0.3}}\n", "data: {test: {path: t.csv}}\n"
    ).data.test
    assert test is not None and test.fraction is None and test.path == folder / "t.csv"
    test = extend(
        folder, "data: {dataset: curve, test: {path: t.csv}}\n", "data: {test: {fraction: 0.3}}\n"
    ).data.test
    assert test is not None and test.fraction == 0.3 and test.path is None


def test_another_way_to_choose_inducing_points_drops_the_old_ones_settings(folder: Path) -> None:
    base = BASE + "model: {inducing: {init: file, path: z.csv, count: 7}}\n"
    inducing = extend(folder, base, "model: {inducing: {init: random}}\n").model.inducing
    assert (inducing.init, inducing.path, inducing.count) == ("random", None, 7)
