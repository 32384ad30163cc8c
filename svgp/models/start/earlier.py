"""A model that starts from an earlier run's: its kernel, likelihood, points and q(u), and further points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from svgp.errors import ModelError, RunError
from svgp.inducing import further_points, with_further
from svgp.models.whitened import assign_whitened, extended, frame_of, whitened
from svgp.parameters import named_variables

if TYPE_CHECKING:
    from svgp.config.model import ModelConfig
    from svgp.models.svgp import SVGP


def start_from(
    config: ModelConfig, X: np.ndarray, *, columns: Any, num_data: int, seed: int, precision: str
) -> tuple[SVGP, list[str]]:
    """The model that `config` describes with the values that the run in `config.start_from` ended with.

    Its inducing points are kept; where the config asks for more, rows of X [N, D] that these explain least
    are added, at their prior, so that q(f) is what it was. `columns` must scale as the earlier run's do (a
    dataset is loaded with these). Returns the model and notes. Raises RunError where there is no saved model,
    ModelError where it is of another structure.
    """
    from svgp.models.build import skeleton
    from svgp.models.portable import load_model

    assert config.start_from is not None
    path = Path(config.start_from)
    if not (path / "model").is_dir():
        raise RunError(
            f"model.start_from: {path} holds no saved model; name the folder of a run that has ended"
        )
    earlier, description = load_model(path / "model")
    _require_same_columns(path, columns, description["columns"])
    places = _further(config, earlier, X, seed)
    Z = with_further(np.asarray(earlier.Z, np.float64), places)
    shapes = {**description["shapes"], "inducing": Z.shape[-2], "num_data": num_data}
    model = skeleton(config, shapes, precision)
    if model.Z.shape != Z.shape:
        raise ModelError(
            f"model.start_from: {path} has inducing points of shape {list(Z.shape)} where this config has "
            f"{model.Z.shape}; model.inducing.shared must be that of the earlier run"
        )
    model.jitter = max(model.jitter, earlier.jitter)
    _copy(path, earlier, model)
    model.Z.assign(Z.astype(model.dtype.as_numpy_dtype))
    q = extended(*whitened(earlier, frame_of(earlier)), len(places))
    assign_whitened(model, frame_of(model), *q)
    more = f" and {len(places)} more" if len(places) else ""
    return model, [
        f"started from {path}: its hyperparameters, q(u) and {Z.shape[-2] - len(places)} points{more}"
    ]


def _further(config: ModelConfig, earlier: Any, X: np.ndarray, seed: int) -> np.ndarray:
    """Further inducing points `[r, D]`."""
    wanted = config.inducing.count
    missing = wanted - earlier.num_inducing if isinstance(wanted, int) else 0
    if missing <= 0:
        return np.zeros((0, X.shape[1]))
    jitter = float(np.max(earlier.factor().jitter))
    Z = np.asarray(earlier.Z, np.float64)
    return further_points(np.asarray(X, np.float64), Z, missing, earlier.kernel, jitter=jitter, seed=seed)


def _copy(path: Path, earlier: Any, model: Any) -> None:
    """Kernel, likelihood, mean and what else is not q(u) or Z."""
    own = ("Z", "q_mean", "q_sqrt")
    source = {name: v.numpy() for name, v in named_variables(earlier).items() if name not in own}
    target = {name: v for name, v in named_variables(model).items() if name not in own}
    for name in sorted(source.keys() | target.keys()):
        if name == "residual_scale" and not (name in source and name in target):
            continue  # of a tight bound: the other run had another bound
        found = list(source[name].shape) if name in source else "nothing"
        wanted = list(target[name].shape) if name in target else "nothing"
        if found != wanted:
            raise ModelError(
                f"model.start_from: {path} has {name} of shape {found} where this config has {wanted}; "
                "kernel, likelihood, mean and outputs must be those of the earlier run"
            )
        target[name].assign(source[name].astype(target[name].dtype.as_numpy_dtype))


def _require_same_columns(path: Path, columns: Any, saved: dict[str, Any]) -> None:
    own = columns.to_dict()
    for name in (
        "task",
        "inputs",
        "target_names",
        "input_mean",
        "input_scale",
        "squeezed",
        "target_mean",
        "target_scale",
    ):
        if name in saved and np.any(np.asarray(own[name]) != np.asarray(saved[name])):
            raise ModelError(
                f"model.start_from: {path} has other {name.replace('_', ' ')} ({saved[name]}) than these "
                f"data ({own[name]}); load the data with that run's columns"
            )
