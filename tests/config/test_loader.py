"""Files that cannot be loaded, and where paths start from."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from svgp.config import load_config
from svgp.config.loader import MAX_BYTES

from .conftest import problems_of


def test_a_missing_file_a_folder_and_a_huge_file(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "big.yaml").write_bytes(b"#" * (MAX_BYTES + 1))
    assert problems_of("nowhere.yaml") == ["nowhere.yaml: no such file"]
    assert problems_of("d") == ["d: is a folder; expected a config file"]
    assert problems_of("big.yaml") == [
        "big.yaml: larger than 1,000,000 bytes; is this a config, or the data itself?"
    ]
    assert "cannot be read" in problems_of("nul\0.yaml")[0]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads every file")
def test_a_file_without_permission(folder: Path) -> None:
    (folder / "c.yaml").touch(mode=0o000)
    assert problems_of("c.yaml") == ["c.yaml: cannot be read (Permission denied)"]


def test_paths_start_from_the_file_that_states_them(folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "configs/c.yaml").write_text(
        "data: {path: ../data/a.csv, target: y, test: {path: /abs/t.csv}}\n"
        "model: {inducing: {init: file, path: z.csv}}\noutput: {dir: ../runs}\n"
    )
    config = load_config("configs/c.yaml")
    assert config.data.path == folder / "data/a.csv"
    assert config.data.test is not None and config.data.test.path == Path("/abs/t.csv")
    assert config.model.inducing.path == folder / "configs/z.csv"
    assert config.output.dir == folder / "runs"
    assert load_config(folder / "configs" / "c.yaml") == config


def test_paths_of_overrides_start_from_the_working_directory(folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "configs/c.yaml").write_text("data: {path: a.csv, target: y}\n")
    config = load_config("configs/c.yaml", ["data.path=b.csv", "output={dir: out}"])
    assert config.data.path == folder / "b.csv"
    assert config.output.dir == folder / "out"


def test_an_output_folder_that_is_not_stated_is_in_the_working_directory(folder: Path) -> None:
    (folder / "configs").mkdir()
    (folder / "configs/c.yaml").write_text("data: {dataset: curve}\n")
    assert load_config("configs/c.yaml").output.dir == folder / "runs"


def test_home_is_expanded(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("USERPROFILE", "/home/someone")
    (folder / "c.yaml").write_text("data: {path: ~/a.csv, target: y}\n")
    assert load_config("c.yaml").data.path == Path("/home/someone/a.csv")


def test_addresses_and_empty_paths_are_refused(problems) -> None:
    (found,) = problems("data: {path: 'https://a.b/c.csv', target: y}\n")
    assert found.startswith(
        "c.yaml:1:14: data.path: expected a path on this machine, got 'https://a.b/c.csv'"
    )
    assert problems("data: {path: '', target: y}\n") == ["c.yaml:1:14: data.path: expected a path, got ''"]
