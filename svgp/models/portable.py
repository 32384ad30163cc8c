"""A model on disk: `model.json` (plain data) and `model.safetensors` (numbers). Opening it runs no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import tensorflow as tf

from svgp.config.model import ModelConfig
from svgp.errors import ModelError, RunError
from svgp.files import new_directory, read_json, write_bytes, write_json
from svgp.models.build import skeleton
from svgp.models.predictive import Predictive
from svgp.models.predictive.predictive import OWN
from svgp.models.svgp import SVGP
from svgp.parameters import named_variables

FORMAT = 1
PREDICTIVE = "predictive.safetensors"


def model_state(model: tf.Module) -> dict[str, np.ndarray]:
    """Every variable of a model by its path (`kernel.lengthscales`, `q_sqrt`, ...), unconstrained."""
    return {name: np.asarray(variable.numpy()) for name, variable in named_variables(model).items()}


def load_model_state(model: tf.Module, state: dict[str, np.ndarray]) -> None:
    """Assign what `model_state` gave. Raises RunError, and assigns nothing, where names or shapes differ."""
    variables = named_variables(model)
    for name, variable in variables.items():
        expected = (tuple(variable.shape), variable.dtype.as_numpy_dtype)
        if name not in state or (state[name].shape, state[name].dtype) != expected:
            found = f"is {state[name].dtype} {list(state[name].shape)}" if name in state else "is missing"
            wanted = f"{variable.dtype.name} {variable.shape.as_list()}"
            raise RunError(f"saved model: '{name}' {found}; expected {wanted}")
    if unknown := sorted(set(state) - set(variables)):
        raise RunError(f"saved model: '{unknown[0]}' is not part of the model that its description gives")
    for name, variable in variables.items():
        variable.assign(state[name])


def save_model(
    directory: str | Path,
    model: SVGP,
    config: ModelConfig,
    *,
    columns: Any,
    precision: str,
    predictive: Predictive | None = None,
) -> None:
    """Write the model, its config and its columns into `directory`, whole or not at all. Raises RunError.

    `predictive`: what predictions take besides (calibration, training rows), in `predictive.safetensors`.
    """
    description = {
        "format": FORMAT,
        "model": config.model_dump(mode="json"),
        "precision": precision,
        "shapes": {
            "input_names": list(columns.input_names),
            "outputs": model.likelihood.num_outputs(model.num_functions),
            "latents": model.num_latent,
            "functions": model.num_functions,
            "inducing": model.num_inducing,
            "num_data": model.num_data,
            "likelihood": model.likelihood.arguments(),
        },
        "jitter": model.jitter,
        "columns": columns.to_dict(),
        "predictive": None if predictive is None else predictive.summary,
    }
    with new_directory(directory) as folder:
        write_json(folder / "model.json", description)
        write_bytes(folder / "model.safetensors", safetensors.numpy.save(model_state(model)))
        if predictive is not None:
            write_bytes(folder / PREDICTIVE, safetensors.numpy.save(predictive.arrays()))


def load_predictive(directory: str | Path, model: SVGP, description: dict[str, Any]) -> Predictive:
    """What `save_model` was given besides; the model as it is, where it was given nothing. Raises RunError.

    `model` and `description` are what `load_model` gave for the directory.
    """
    path = Path(directory) / PREDICTIVE
    if not path.exists():
        return Predictive(model)
    try:
        arrays, summary = safetensors.numpy.load(path.read_bytes()), description["predictive"]
        return Predictive.of(model, arrays, summary, _own_model(arrays, summary, description))
    except (LookupError, OSError, TypeError, ValueError, safetensors.SafetensorError) as error:
        raise RunError(f"{path}: not what predictions need ({type(error).__name__}: {error})") from error


def _own_model(arrays: dict[str, np.ndarray], summary: dict[str, Any], description: dict[str, Any]) -> Any:
    """The SVGP that neighbours belong to, where it is not the model itself; its q(u) is full."""
    state = {name[len(OWN) :]: x for name, x in arrays.items() if name.startswith(OWN)}
    if not state:
        return None
    config = ModelConfig.model_validate(description["model"])
    posterior = config.posterior.model_copy(update={"type": "full"})
    shapes = {**description["shapes"], "inducing": state["Z"].shape[-2]}
    own = skeleton(config.model_copy(update={"posterior": posterior}), shapes, description["precision"])
    own.jitter = float(summary["jitter"])
    load_model_state(own, state)
    return own


def load_model(directory: str | Path) -> tuple[SVGP, dict[str, Any]]:
    """The model that `save_model` wrote, and its description (`columns`, ...). Raises RunError."""
    directory = Path(directory)
    description = read_json(directory / "model.json")
    version = description.get("format") if isinstance(description, dict) else None
    if version != FORMAT:
        raise RunError(f"{directory}/model.json: format {version!r}; this version reads {FORMAT}")
    try:
        config = ModelConfig.model_validate(description["model"])
        state = safetensors.numpy.load((directory / "model.safetensors").read_bytes())
        model = skeleton(config, description["shapes"], description["precision"])
        model.jitter = float(description["jitter"])
    except (LookupError, OSError, TypeError, ValueError, ModelError, safetensors.SafetensorError) as error:
        raise RunError(f"{directory}: not a whole saved model ({type(error).__name__}: {error})") from error
    load_model_state(model, state)
    return model, description
