"""Methods that several tests take steps with: building their graphs takes longer than the steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from svgp.training.methods.base import Method


class Pool:
    """`pool(...)` is `build(...)`, or what that gave before in the state that it had then.

    `number` tells methods apart that a test needs at the same time.
    """

    def __init__(self, build: Callable[..., Method]) -> None:
        self._build = build
        self._built: dict[str, tuple[Method, dict[str, np.ndarray]]] = {}

    def __call__(self, *arguments: Any, number: int = 0, **options: Any) -> Any:
        key = repr((arguments, sorted(options.items()), number))
        if key not in self._built:
            method = self._build(*arguments, **options)
            start = {name: np.array(array) for name, array in method.state().items()}
            self._built[key] = method, start
        method, start = self._built[key]
        method.load_state({name: array.copy() for name, array in start.items()})
        return method


@pytest.fixture(scope="session")
def pool_of() -> type[Pool]:
    return Pool


@pytest.fixture(scope="session")
def publishing_once() -> Callable[[Any], Any]:
    """A function that has natural gradients publish as they are: a graph for one call takes over a second.

    Tests of q of several latents publish by the graph.
    """

    def change(method: Any) -> Any:
        method._compiled_publish = method._publish
        return method

    return change


@pytest.fixture(scope="session")
def without_graphs() -> Callable[[Any], Any]:
    """A function that has Adam or natural gradients run as they are: quicker for up to a dozen steps."""

    def change(method: Any) -> Any:
        method.compiled_step = method._update
        if hasattr(method, "_publish"):
            method._compiled_publish = method._publish
        return method

    return change
