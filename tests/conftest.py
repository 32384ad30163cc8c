"""What all tests share: the markers gpu and slow, and a quiet TensorFlow."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest

# A shell starts what it puts in the background with Ctrl-C ignored, and children inherit that: the tests of
# interrupts need it as it is in a terminal.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("SVGP_PATHS", "fixed")  # runs that are compared with each other take the same paths


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(pytest.mark.skip(reason="slow; runs with --slow"))


def pytest_runtest_setup(item: pytest.Item) -> None:
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
