"""The environments of other libraries, made in .bench/ (which git ignores) the first time they are needed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TORCH = ("torch==2.13.0", "gpytorch==1.15.2", "numpy")
JAX = ("gpjax==1.0.0", "jax==0.10.2")  # which need Python 3.11
GPFLOW = ("gpflow",)
# GPflow asks for NumPy 1 but runs with NumPy 2: as in scripts/setup, it is installed beside what it needs.
GPFLOW_NEEDS = ("tensorflow", "tensorflow-probability", "tf-keras", "scipy", "check-shapes", "deprecated",
                "multipledispatch", "tabulate", "packaging", "typing-extensions")  # fmt: skip


def torch_python(given: str | None) -> str:
    """A Python that has PyTorch and GPyTorch: the one given, else that of .bench/torch."""
    return _checked(given) if given else str(_made("torch", [list(TORCH)]))


def jax_python(given: str | None) -> str:
    """A Python that has GPJax: the one given, else that of .bench/jax."""
    return _checked(given) if given else str(_made("jax", [list(JAX)]))


def gpflow_python(given: str | None) -> str:
    """A Python that has GPflow: the one given, this one if it has, else that of .bench/gpflow."""
    if given:
        return _checked(given)
    if importlib.util.find_spec("gpflow") is not None:
        return sys.executable
    pinned = ["--constraint", str(ROOT / "constraints.txt")]
    return str(_made("gpflow", [[*pinned, *GPFLOW_NEEDS], [*pinned, "--no-deps", *GPFLOW]]))


def _checked(python: str) -> str:
    if shutil.which(python) is None:
        sys.exit(f"{python}: expected a Python, found nothing that can be run")
    return python


def _made(name: str, installs: list[list[str]]) -> Path:
    """The Python of .bench/NAME, where all of `installs` has been installed to its end."""
    folder = ROOT / ".bench" / name
    stamp, wanted = folder / "complete", repr(installs)
    python = folder / "bin" / "python"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"installing into {folder}: {', '.join(installs[0])}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        for arguments in installs:
            command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            if subprocess.run([*command, *arguments]).returncode != 0:
                sys.exit(f"pip could not install into {folder} (its message is above); run again to retry")
        stamp.write_text(wanted, encoding="utf-8")
    return python
