"""The registry of training methods: a name in the config, a function that makes the method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from svgp.errors import ModelError
from svgp.models.collapsed.bound import check_model
from svgp.rows import as_rows
from svgp.training.methods.adam import Adam
from svgp.training.methods.base import Method
from svgp.training.methods.collapsed import Collapsed
from svgp.training.methods.natgrad import NaturalGradient
from svgp.training.methods.natgrad_whole import WholeNaturalGradient
from svgp.training.methods.replacing import replacing


def natural_gradient(model: Any, X: Any, Y: Any, config: Any) -> Method:
    """`natgrad`: see `natural_gradient_class`."""
    return natural_gradient_class(model, len(X), config)(model, X, Y, config)


def natural_gradient_class(
    model: Any, rows: int, config: Any
) -> type[NaturalGradient] | type[WholeNaturalGradient]:
    """L-BFGS-B for the hyperparameters where a batch holds all rows, else (and if a rate is given) Adam.

    L-BFGS-B compares bounds of neighbouring values, which float32 kernel matrices make noisy: Adam there too.
    """
    exact = model.dtype.name == model.batch_dtype.name == "float64"
    whole = rows <= config.batch_size and config.learning_rate is None
    return WholeNaturalGradient if whole and exact else NaturalGradient


# name -> (model, X [N, D], Y [N, P], config.train) -> Method; X may be `svgp.rows.Rows`, Y then None
METHODS: dict[str, Callable[[Any, Any, Any, Any], Method]] = {
    "adam": Adam,
    "collapsed": Collapsed,
    "natgrad": natural_gradient,
}

# An evaluation of the collapsed bound is about 3 M^2 N operations. L-BFGS needs some dozens of them: where
# one takes longer than about half a minute (at 100 GFLOP/s), minibatches get further in the same time.
MOST_OPERATIONS = 3e12


def make_method(model: Any, X: Any, Y: Any, config: Any) -> Method:
    """The method that `config.method` names; `auto` chooses, see `choose`.

    X `[N, D]`, Y `[N, P]` scaled training rows, or X `svgp.rows.Rows` and Y None. Raises ModelError where the
    method does not fit the model.
    """
    rows = as_rows(X, Y)
    name, _ = choose(model, rows.count, config)
    return replacing(METHODS[name](model, rows, None, config), rows.sample()[0], config)


def choose(model: Any, rows: int, config: Any) -> tuple[str, str]:
    """The method's name, and in one line why it was taken.

    `auto` is `collapsed` for Gaussian noise in float64 where an evaluation is affordable, which
    `train.subset_rows` makes it for any number of rows; `adam` for `model.bound: ppgpr`; else `natgrad`.
    """
    if config.method != "auto":
        return config.method, "as the config says"
    if getattr(model, "bound", None) == "ppgpr":
        return "adam", "minibatch Adam, since model.bound: ppgpr is no ELBO, whose best q(u) the others find"
    obstacle = _obstacle_to_collapsed(model, rows, config)
    if obstacle is None:
        return "collapsed", "Gaussian noise: the best q(u) has a closed form, L-BFGS fits the rest"
    return "natgrad", f"natural gradients for q(u), since {obstacle}"


def method_class(model: Any, rows: int, config: Any) -> type[Any]:
    """The class of `make_method`'s method."""
    name, _ = choose(model, rows, config)
    classes = {"adam": Adam, "collapsed": Collapsed}
    return classes.get(name) or natural_gradient_class(model, rows, config)


def describe_step_size(model: Any, rows: int, config: Any) -> str | None:
    """The learning rate that `make_method`'s method has, in words; None where the method never has one."""
    kind = method_class(model, rows, config)
    if kind is Collapsed:
        return None
    if kind is WholeNaturalGradient:
        return "learning rate: none, hyperparameters by L-BFGS since a batch holds all rows"
    if config.learning_rate is not None:
        return f"learning rate {config.learning_rate:g}, as the config says"
    return f"learning rate {kind.learning_rate:g}, the default of {kind.name}"


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
    seen = min(rows, getattr(config, "subset_rows", None) or rows)
    operations = 3.0 * size**2 * seen
    if operations > MOST_OPERATIONS:
        return (
            f"one evaluation of the collapsed bound would take {operations:.1e} operations "
            f"({seen} rows, {size} points); train.subset_rows would make it affordable"
        )
    return None
