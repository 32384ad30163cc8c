"""stderr below Python is held back, and comes out when something fails."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from svgp.cli.quiet import held_back_stderr


def test_what_is_written_goes_nowhere(capfd):
    with held_back_stderr():
        os.write(2, b"noise")
    os.write(2, b"after")
    assert capfd.readouterr().err == "after"


def test_a_failure_lets_it_out(capfd):
    with pytest.raises(ImportError), held_back_stderr():
        os.write(2, b"the reason")
        raise ImportError
    assert capfd.readouterr().err == "the reason"


# Three seconds that a first step need not wait for.
UNUSED = {
    "keras", "matplotlib", "sklearn", "scipy.stats", "tensorflow_probability.python.experimental.bayesopt"
}  # fmt: skip


def test_importing_tensorflow_says_nothing_and_brings_only_what_a_first_step_needs():
    code = (
        "from svgp.cli import quiet; quiet.import_tensorflow(); "
        "import gc, sys, tensorflow as tf; "
        f"tf.constant(1.0); print(sorted({UNUSED} & set(sys.modules)), "
        "gc.isenabled(), gc.get_freeze_count() > 100_000)"
    )
    ours = {"TF_CPP_MIN_LOG_LEVEL", "TF_USE_LEGACY_KERAS"}  # of tests/conftest.py
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == "" and done.stdout == "[] True True\n"
