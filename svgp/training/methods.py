"""The registry of training methods: a name in the config, a function that makes the method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from svgp.training.adam import Adam
from svgp.training.collapsed import Collapsed
from svgp.training.method import Method

# name -> (model, X [N, D], Y [N, P], config.train) -> Method
METHODS: dict[str, Callable[[Any, np.ndarray, np.ndarray, Any], Method]] = {
    "adam": Adam,
    "collapsed": Collapsed,
}


def make_method(model: Any, X: np.ndarray, Y: np.ndarray, config: Any) -> Method:
    """The method that `config.method` names; `auto` chooses.

    X `[N, D]`, Y `[N, P]` scaled training rows. Raises ConfigError where the method is unknown.
    """
    return METHODS[resolve(config.method)](model, X, Y, config)


def resolve(name: str) -> str:
    """What `auto` stands for."""
    return "adam" if name == "auto" else name
