"""The arrows between packages, what importing costs, and the names that are promised."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import svgp

ROOT = Path(__file__).parent.parent


def test_imports_follow_the_arrows():
    """The contracts are in pyproject.toml, [tool.importlinter]."""
    code = "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_these_import_no_tensorflow():
    """In one process: what is imported by then, and the first part that has too much, are in the error."""
    code = (
        "import importlib, sys, tempfile\n"
        "def check(part, *heavy):\n"
        "    assert not {'tensorflow', *heavy} & set(sys.modules), part\n"
        "for part in ('', '.errors', '.config', '.data'):\n"
        "    importlib.import_module('svgp' + part)\n"
        "    check(part, 'sklearn')\n"
        "for part in ('.cli', '.runs', '.runs.forecast'):\n"
        "    importlib.import_module('svgp' + part)\n"
        "    check(part)\n"
        "with tempfile.TemporaryDirectory() as folder:\n"
        "    sys.modules['svgp.runs'].list_runs(folder)\n"
        "check('list_runs')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_first_names_of_the_library():
    assert callable(svgp.train) and callable(svgp.load_run)
    assert set(svgp.__all__) == {"Run", "__version__", "load_run", "train"}
    for part, names in PROMISED.items():
        missing = [name for name in names if not hasattr(getattr(svgp, part), name)]
        assert not missing, f"svgp.{part} lacks {missing}"


PROMISED = {
    "linalg": ["cholesky", "det", "eigh", "factorise", "inverse", "logdet", "lstsq", "slogdet", "solve",
               "triangular_solve"],
    "models": ["SVGP", "build_model", "load_model", "save_model"],
    "kernels": ["Constant", "Kernel", "Linear", "Matern12", "Matern32", "Matern52", "Product",
                "SquaredExponential", "Sum", "White", "from_config"],
    "likelihoods": ["Bernoulli", "Gaussian", "Likelihood", "Poisson", "StudentT", "from_config"],
    "means": ["Constant", "Linear", "Zero", "from_config"],
    "config": ["Config", "config_schema", "load_config", "template_for_table"],
    "data": ["BUILTIN", "Columns", "Dataset", "TableWriter", "iter_tables", "load_dataset", "make_dataset",
             "read_table"],
    "inducing": ["choose"],
    "runs": ["Run", "evaluate", "list_runs", "load_run", "predict_file", "train"],
    "errors": ["ConfigError", "DataError", "Interrupted", "ModelError", "NumericalError", "RunError",
               "SvgpError", "TrainingDiverged"],
}  # fmt: skip
