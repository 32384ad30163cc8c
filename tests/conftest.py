"""What all tests share: the markers gpu and slow, and a quiet TensorFlow."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

# A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that: the tests of
# interrupts need it as it is in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# As `svgp` has it (svgp/cli/quiet.py), for this process and all that tests start: the newer Keras, of which
# nothing is used, takes a second and a half of each.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("SVGP_PATHS", "fixed")  # runs that are compared with each other take the same paths


# Folders and files that hold most of the work, longest tests first. Workers of pytest-xdist begin with these,
# so that what is left at the end is short enough to be shared out to the last second.
# Modules with processes of their own are among them: one whose tests are shared out starts these twice.
LONG = (
    "runs", "notebooks", "test_workers.py", "test_replicas.py", "scripts", "training", "models", "kernels",
    "linalg", "cli",
)  # fmt: skip

# XLA takes a third of the time to compile for a processor if it optimises little. What tests hold against
# eager results is that XLA has all operations and their gradients: it has the same. With --slow it does all.
QUICK_XLA = (
    "--xla_backend_optimization_level=0",
    "--xla_cpu_parallel_codegen_split_count=1",
    "--xla_cpu_use_fusion_emitters=false",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("--slow"):  # TensorFlow reads it when it first compiles
        os.environ.setdefault("XLA_FLAGS", " ".join(QUICK_XLA))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow; runs with --slow"))
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    if workers > 1:
        items[:] = long_ones_first(items, workers)


def long_ones_first(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """The tests in as many equal parts as there are workers, each with its share of long modules ahead.

    `--dist worksteal` hands such parts out at the start; who is done takes from the end of another's.
    """

    def rank(item: pytest.Item) -> int:
        part = item.path.relative_to(Path(__file__).parent).parts[0]
        return LONG.index(part) if part in LONG else len(LONG)

    ordered = sorted(items, key=rank)  # keeps the order within a module
    modules = [list(tests) for _, tests in groupby(ordered, key=lambda item: item.path)]
    long = [tests for tests in modules if rank(tests[0]) < len(LONG)]
    short = [item for item in ordered if rank(item) == len(LONG)]
    parts = []
    for worker in range(workers):
        part = [item for tests in long[worker::workers] for item in tests]
        room = max(0, len(items) * (worker + 1) // workers - len(items) * worker // workers - len(part))
        parts += part + short[:room]
        del short[:room]
    return parts + short


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "tensorflow" in sys.modules and not item.config.getoption("--slow"):
        # TensorFlow's optimiser of graphs takes longer for a small one than it runs for here. The graphs of
        # training steps are larger.
        options = sys.modules["tensorflow"].config.optimizer
        if "min_graph_nodes" not in options.get_experimental_options():
            options.set_experimental_options({"min_graph_nodes": 300})
    if item.get_closest_marker("gpu"):
        import tensorflow as tf  # only where a test asks for it: most of the command-line tests never load it

        if not tf.config.list_physical_devices("GPU"):
            pytest.skip("needs a GPU, and TensorFlow sees none here")


# Compiled functions are millions of objects that stay: looking through them again and again took minutes.
# So collections are rare, all that a module has left is looked through once, and never again.
gc.set_threshold(50_000, 50, 1000)


@pytest.fixture(autouse=True, scope="module")
def short_garbage_collections() -> Iterator[None]:
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave a run's pictures out: drawing them takes longer than small runs train."""
    from svgp.runs import Run

    monkeypatch.setattr(Run, "write_plots", lambda run: [])


@pytest.fixture
def published_without_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Natural gradients publish q as they are: making a graph takes a hundred times as long as using it once.

    Tests of training/methods/test_natgrad.py, test_natgrad_whole.py and of runs publish by graphs.
    """
    from svgp.training.methods.natgrad import NaturalGradient
    from svgp.training.methods.natgrad_whole import WholeNaturalGradient

    for kind in (NaturalGradient, WholeNaturalGradient):

        def make(self: Any, *given: Any, before: Any = kind.__init__, **named: Any) -> None:
            before(self, *given, **named)
            self._compiled_publish = self._publish

        monkeypatch.setattr(kind, "__init__", make)
