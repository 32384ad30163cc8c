"""A model on disk: `model.json` (plain data) and `model.safetensors` (numbers). Opening it runs no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import tensorflow as tf
from pydantic import ValidationError

from svgp.config.model import ModelConfig
from svgp.errors import RunError
from svgp.files import new_directory, read_json, write_bytes, write_json
from svgp.models.build import skeleton
from svgp.models.svgp import SVGP
from svgp.parameters import named_variables

FORMAT = 1


def model_state(model: tf.Module) -> dict[str, np.ndarray]:
    """Every variable of a model by its path (`kernel.lengthscales`, `q_sqrt`, ...), unconstrained."""
    return {name: np.asarray(variable.numpy()) for name, variable in named_variables(model).items()}


def load_model_state(model: tf.Module, state: dict[str, np.ndarray]) -> None:
    """Assign what `model_state` gave. Raises RunError, and assigns nothing, where names or shapes differ."""
    variables = named_variables(model)
    for name, variable in variables.items():
        if name not in state or tuple(state[name].shape) != tuple(variable.shape):
            found = f"has shape {list(state[name].shape)}" if name in state else "is missing"
            raise RunError(f"saved model: '{name}' {found}; expected {variable.shape.as_list()}")
    for name, variable in variables.items():
        variable.assign(state[name])


def save_model(
    directory: str | Path, model: SVGP, config: ModelConfig, *, columns: Any, precision: str
) -> None:
    """Write the model, its config and its columns into `directory`, whole or not at all. Raises RunError."""
    description = {
        "format": FORMAT,
        "model": config.model_dump(mode="json"),
        "precision": precision,
        "shapes": {
            "input_names": list(columns.input_names),
            "outputs": model.num_latent,
            "inducing": model.num_inducing,
            "num_data": model.num_data,
        },
        "jitter": model.jitter,
        "columns": columns.to_dict(),
    }
    with new_directory(directory) as folder:
        write_json(folder / "model.json", description)
        write_bytes(folder / "model.safetensors", safetensors.numpy.save(model_state(model)))


def load_model(directory: str | Path) -> tuple[SVGP, dict[str, Any]]:
    """The model that `save_model` wrote, and its description (`columns`, `precision`, ...). Raises RunError."""
    directory = Path(directory)
    description = read_json(directory / "model.json")
    if description.get("format") != FORMAT:
        raise RunError(f"{directory}/model.json: format {description.get('format')!r}; this version reads {FORMAT}")
    try:
        config = ModelConfig.model_validate(description["model"])
        state = safetensors.numpy.load((directory / "model.safetensors").read_bytes())
        model = skeleton(config, description["shapes"], description["precision"])
    except (KeyError, OSError, ValidationError, safetensors.SafetensorError) as error:
        raise RunError(f"{directory}: not a whole saved model ({error})") from error
    load_model_state(model, state)
    model.jitter = float(description["jitter"])
    return model, description
