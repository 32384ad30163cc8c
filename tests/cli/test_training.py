"""The command train: what it prints, where it writes, how it resumes and stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from svgp.cli.training import _config_and_overrides


def test_a_run_says_what_came_out_and_where(svgp, run_folder, tmp_path):
    config = run_folder.parents[2] / "config.yaml"
    ended = svgp("train", config, "train.max_steps=4", "--run-dir", tmp_path / "run")
    assert ended.code == 0, ended.err
    shown = dict(line.split(maxsplit=1) for line in ended.out.splitlines() if line)
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert float(shown["test.rmse"]) == pytest.approx(metrics["test.rmse"], rel=1e-3)
    assert shown["steps"] == "4"
    assert Path(shown["report"]) == tmp_path / "run/report.html" and Path(shown["report"]).exists()
    assert Path(shown["plots"]).is_dir()
    # Not a terminal: rows of text, none of them rewritten.
    assert "\r" not in ended.err and "\x1b" not in ended.err


def test_an_existing_folder_is_not_overwritten(svgp, run_folder):
    config = run_folder.parents[2] / "config.yaml"
    before = (run_folder / "metrics.json").read_text()
    ended = svgp("train", config, "--run-dir", run_folder)
    assert ended.code == 1 and "already exists" in ended.err
    assert (run_folder / "metrics.json").read_text() == before


def test_bad_data_make_no_folder(svgp, table, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text("data: {path: table.csv, target: y, inputs: [x, colour]}\n", encoding="utf-8")
    ended = svgp("train", config, "--run-dir", tmp_path / "run")
    assert ended.code == 1
    assert "column 'colour' has text where a number is needed" in ended.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "resume", "expected"),
    [
        (["c.yaml"], None, ("c.yaml", [])),
        (["c.yaml", "a.b=1"], None, ("c.yaml", ["a.b=1"])),
        ([], "run", ("run/config.yaml", [])),
        (["train.max_epochs=9"], "run", ("run/config.yaml", ["train.max_epochs=9"])),
        (["c.yaml", "a=1"], "run", ("c.yaml", ["a=1"])),
    ],
)
def test_the_first_word_is_the_config_unless_a_run_has_it(words, resume, expected):
    path, overrides = _config_and_overrides(words, Path(resume) if resume else None)
    assert (str(path), overrides) == expected


def test_a_config_with_an_equals_sign_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lr=0.1.yaml").touch()
    assert _config_and_overrides(["lr=0.1.yaml"], None) == (Path("lr=0.1.yaml"), [])


@pytest.mark.skipif(os.name != "posix", reason="sends a signal to a process")
def test_ctrl_c_saves_and_resume_goes_on(svgp, run_folder, tmp_path, no_plots):
    config = run_folder.parents[2] / "config.yaml"
    run = tmp_path / "run"
    words = [
        "train",
        str(config),
        "train.max_steps=100000",
        "train.max_epochs=1000000",
        "--run-dir",
        str(run),
    ]
    command = [sys.executable, "-m", "svgp", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        told = process.stderr.read()
    assert process.returncode == 130, told
    assert f"svgp train --resume {run}" in told and "Traceback" not in told
    step = json.loads((run / "status.json").read_text())["steps"]
    ended = svgp("train", "--resume", run, f"train.max_steps={step + 3}")
    assert ended.code == 0, ended.err
    assert json.loads((run / "metrics.json").read_text())["steps"] == step + 3
