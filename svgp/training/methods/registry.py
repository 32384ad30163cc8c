"""The registry of training methods: a name in the config, a class; and the choice between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from svgp.errors import ModelError
from svgp.models.collapsed.bound import check_model
from svgp.rows import as_rows
from svgp.training.methods.adam import Adam
from svgp.training.methods.affordable import most_operations, plan, rows_to_fit
from svgp.training.methods.base import Method
from svgp.training.methods.collapsed import Collapsed
from svgp.training.methods.natgrad import NaturalGradient
from svgp.training.methods.replacing import replacing
from svgp.training.methods.staged import Staged
from svgp.training.methods.stages import first_share, wants_evidence

METHODS: dict[str, type[Method]] = {
    "adam": Adam,
    "collapsed": Collapsed,
    "natgrad": NaturalGradient,
}


@dataclass(frozen=True)
class Choice:
    """A method for a model and its rows, why it was taken, and the size of its steps in words."""

    method: type[Method]
    reason: str
    step_size: str | None

    def make(self, model: Any, X: Any, Y: Any, config: Any) -> Method:
        """The method, for X and Y as in `make_method`. Raises ModelError where it does not fit the model."""
        rows = as_rows(X, Y)
        staged = wants_evidence(model, self.method.name)
        own = first_share(config) if staged else config
        method = replacing(self.method(model, rows, None, own), rows.sample()[0], own)
        return Staged(method, rows, config) if staged else method

    def plan(self, model: Any, rows: int, config: Any, rate: float) -> list[str]:
        """What a fit to a part of the rows will take, at `rate` operations a second: a line, or none."""
        if self.method is not Collapsed:
            return []
        staged = wants_evidence(model, self.method.name)
        found = plan(first_share(config) if staged else config, rows, model.num_inducing, rate)
        return [] if found is None else [found]

    def __str__(self) -> str:
        size = f"; {self.step_size}" if self.step_size else ""
        return f"method {self.method.name}: {self.reason}{size}"


def make_method(model: Any, X: Any, Y: Any, config: Any) -> Method:
    """The method that `config.method` names; `auto` chooses, see `choose`.

    X `[N, D]`, Y `[N, P]` scaled training rows, or X `svgp.rows.Rows` and Y None. Raises ModelError where the
    method does not fit the model.
    """
    rows = as_rows(X, Y)
    return choose(model, rows.count, config).make(model, rows, None, config)


def choose(model: Any, rows: int, config: Any) -> Choice:
    """The method that `config.method` names, for so many rows.

    `auto` is `collapsed` for Gaussian noise in float64 where an evaluation is affordable, which
    `train.subset_rows` makes it for any number of rows; `adam` for `model.bound: ppgpr`; else `natgrad`.
    """
    name, reason = _named(model, rows, config)
    method = METHODS[name].variant(model, rows, config)
    return Choice(method, reason, method.describe_step_size(config))


def _named(model: Any, rows: int, config: Any) -> tuple[str, str]:
    if config.method != "auto":
        return config.method, "as the config says"
    if not model.bound.is_elbo:
        why = f"model.bound: {model.bound} is no ELBO, whose best q(u) the others find"
        return "adam", f"minibatch Adam, since {why}"
    obstacle = _obstacle_to_collapsed(model, rows, config)
    if obstacle is None:
        return "collapsed", "Gaussian noise: the best q(u) has a closed form, L-BFGS fits the rest"
    return "natgrad", f"natural gradients for q(u), since {obstacle}"


def _obstacle_to_collapsed(model: Any, rows: int, config: Any) -> str | None:
    """Why the collapsed bound does not serve, or None."""
    if model.likelihood.noise is None:
        return f"a {type(model.likelihood).__name__} likelihood has no collapsed bound"
    try:
        check_model(model, model.num_latent)
    except ModelError as error:
        return str(error)
    if model.dtype.name != "float64" or model.batch_dtype.name != "float64":
        return "the collapsed bound needs precision: float64"
    size = model.num_inducing
    seen = min(rows, rows_to_fit(config, rows, size) or rows)
    operations = 3.0 * size**2 * seen
    if seen == rows and operations > most_operations():
        return (
            f"one evaluation of the collapsed bound would take {operations:.1e} operations "
            f"({seen} rows, {size} points); train.subset_rows: auto would make it affordable"
        )
    return None
