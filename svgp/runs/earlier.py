"""A run's rows, with what it takes from an earlier one before they are loaded (`model.start_from`)."""

from __future__ import annotations

from svgp import files
from svgp.config import Config
from svgp.data import Columns, Dataset, load_dataset
from svgp.errors import RunError


def rows_of(config: Config) -> Dataset:
    """The table of a config as its model sees it. Raises DataError, and RunError as below."""
    model = config.model
    return load_dataset(config.data, model.likelihood, earlier_columns(config), model.mean.plain_inputs)


def earlier_columns(config: Config) -> Columns | None:
    """The earlier run's columns, whose scaling its hyperparameters and points are in; None without one.

    Raises RunError where that run has no saved model.
    """
    if config.model.start_from is None:
        return None
    path = config.model.start_from / "model" / "model.json"
    if not path.exists():
        raise RunError(
            f"model.start_from: {config.model.start_from} holds no saved model; name the folder of a run "
            "that has ended"
        )
    return Columns.from_dict(files.read_object(path).get("columns", {}))
