"""The notebook runs from top to bottom, and is committed with its outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
from nbclient import NotebookClient

PATH = Path(__file__).parents[2] / "notebooks/inspect_run.ipynb"


def test_it_runs_and_the_model_found_the_noise(tmp_path):
    notebook = nbformat.read(PATH, as_version=4)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    last = "".join(
        output.get("text", "") for output in notebook.cells[-1].outputs if output.get("name") == "stdout"
    )
    noise = float(last.split()[1].rstrip(","))
    assert 0.07 < noise < 0.14  # the data were made with 0.1; 160 rows tell it to within about a tenth


def test_it_is_committed_with_pictures_and_without_noise():
    notebook = nbformat.read(PATH, as_version=4)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 4
    assert not [
        output for output in outputs if output.get("name") == "stderr" or output.output_type == "error"
    ]
