"""Whether a stage on the evidence with neighbours follows a method, and what is left to the method then."""

from __future__ import annotations

from typing import Any

# Of the run's steps and of its seconds: the first method's, if it does not end before. A step of the second
# stage takes three times as long and brings more (pol, 512 points, one core for 420 s, RMSE of the joint way:
# .0738 with a fifth of the seconds; of the better one .0750, and .0787 with three tenths).
SHARE, SHARE_S = 0.5, 0.25


def wants_evidence(model: Any, name: str) -> bool:
    """Whether a stage on the evidence follows the method `name`, if wanted: it has one noise variance."""
    wanted = model.neighbours
    if wanted is None or wanted.count == 0 or wanted.fit != "evidence":
        return False
    return name == "collapsed" and bool(model.likelihood.noise == "shared")


def first_share(config: Any) -> Any:
    """The run's `train` section with the first stage's share of its limits."""
    shares = {
        "max_seconds": None if config.max_seconds is None else SHARE_S * config.max_seconds,
        "max_steps": None if config.max_steps is None else max(1, int(SHARE * config.max_steps)),
        "max_epochs": None if config.max_epochs is None else max(1, int(SHARE * config.max_epochs)),
    }
    return config.model_copy(update=shares)
