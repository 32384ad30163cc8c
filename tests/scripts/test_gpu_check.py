"""scripts/gpu_check without a GPU: a step that passes, one that fails, and what is written of them."""

from __future__ import annotations

import importlib
import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import tensorflow as tf

SCRIPT = Path(__file__).parents[2] / "scripts" / "gpu_check"


def run(folder: Path, *arguments: str) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder), *arguments], capture_output=True, text=True
    )
    return done.returncode, json.loads((folder / "summary.json").read_text())


def test_residuals_and_repairs(tmp_path):
    status, summary = run(tmp_path, "--device", "cpu", "--steps", "residuals")
    step = summary["steps"]["residuals"]
    assert status == 0 and step["outcome"] == "passed", (tmp_path / "residuals.log").read_text()
    assert 0.0 < step["figures"]["float64"]["gemm"] < 1e-14 < step["figures"]["float32"]["gemm"] < 1e-5
    assert step["figures"]["failing Cholesky at 300"] == "NaN, then repaired"
    assert step["figures"]["failing Cholesky in a batch"] == "NaN, then repaired"
    assert set(step["figures"]["ms by leaf, 96 points"]) == {"32", "96"}


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_without_a_gpu_the_check_of_a_gpu_fails_and_says_so(tmp_path, monkeypatch, capsys):
    """Its step in this process: one that loads TensorFlow takes some five seconds of a processor."""

    def in_this_process(command, *, stdout, **given):
        assert command == [sys.executable, "-m", "benchmarks.gpu_residuals", "gpu"]
        status = importlib.import_module("benchmarks.gpu_residuals").main("gpu")
        stdout.write(capsys.readouterr().out)
        return subprocess.CompletedProcess(command, status)

    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    monkeypatch.setattr(subprocess, "run", in_this_process)
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(tmp_path), "--steps", "residuals"])
    status = runpy.run_path(str(SCRIPT))["main"]()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert status == 1 and summary["steps"]["residuals"]["outcome"] == "failed"
    assert "sees no GPU" in summary["steps"]["residuals"]["figures"]["error"]


@pytest.mark.slow
def test_everything_runs_on_a_processor(tmp_path):
    status, summary = run(tmp_path, "--device", "cpu")
    assert status == 0, summary
    own = ["collapsed", "neighbours", "natgrad"]
    assert list(summary["steps"]) == ["residuals", "tests", "linalg", "steps", *own, "training"]
    for step in own[:2]:
        assert summary["steps"][step]["figures"]["difference from the host"] < 1e-10
