"""The notebook runs from top to bottom, says what it should, and is committed with its outputs."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
PATH = ROOT / "notebooks/logdet_gradient.ipynb"


def _printed(notebook) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


@pytest.fixture(scope="module")
def committed():
    return nbformat.read(PATH, as_version=4)


@pytest.fixture(scope="module")
def rerun():
    """With each time taken twice and not eight times: what times say is not tested."""
    notebook = nbformat.read(PATH, as_version=4)
    timed = next(cell for cell in notebook.cells if "runs=7" in cell.source)
    timed.source = timed.source.replace("runs=7", "runs=1")
    resources = {"metadata": {"path": ROOT}}  # svgp is importable there, installed or not
    return NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()


def test_it_says_what_the_mathematics_says(rerun):
    printed = _printed(rerun)
    assert "4.000000 at the start, 0.009750 at the end" in printed  # det([[1, 2], [3, 4]])^2 = 4
    assert "0.206705 at the start" in printed  # (sin 1 cos 1)^2
    assert "agrees to float32: True" in printed
    for start in ("by the formula", "by hand "):  # and the model; and a finite difference
        line = next(line for line in printed.splitlines() if line.startswith(start))
        left, right = (float(part.split()[-1]) for part in line.split(","))
        assert left == pytest.approx(right, abs=1e-5)


def test_it_prints_the_same_each_time_but_for_timings(committed, rerun):
    def numbers(notebook):
        noisy = ("   M", " 256", " 512", "1024", "largest difference")
        lines = [line for line in _printed(notebook).splitlines() if not line.startswith(noisy)]
        return [float(number) for number in re.findall(r"-?\d+\.\d*", "\n".join(lines))]

    assert numbers(rerun) == pytest.approx(numbers(committed), rel=1e-5)


def test_it_is_committed_with_pictures_and_without_noise(committed):
    outputs = [output for cell in committed.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert not [one for one in outputs if one.get("name") == "stderr" or one.output_type == "error"]
