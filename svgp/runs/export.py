"""A run as a TensorFlow SavedModel: raw columns in, predictions in original units out, no svgp needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from svgp.data import Columns
from svgp.data.extras import EXTRAS
from svgp.errors import RunError
from svgp.files import cannot_write, new_directory, write_json
from svgp.linalg.backend import backend
from svgp.models import Predictive
from svgp.models.predictive.served import ServedPredictive
from svgp.runs.outcomes import outcome_of
from svgp.runs.predictions import LEVELS

if TYPE_CHECKING:
    from svgp.runs.run import Run


def export(run: Run, directory: str | Path, *, sparse: bool = False) -> Path:
    """Write what the run predicts to `directory` as a SavedModel, whole or not at all, and return the path.

    It says what `run.predict` says: calibrated, and with the training rows in it where predictions see their
    neighbours. `sparse`: from the inducing points alone, as the model says; smaller and faster.

    Its `serving_default` signature takes, for N rows,

    - `inputs`: float64 `[N, number of numeric columns]`, raw values in their order in the run's inputs;
    - `categories`: string `[N, number of categorical columns]` in their order; only where there are any.
      A level that training has not seen is all zeros, or fails where the config says `unseen: error`;
    - `extras`: float64 `[N, number of extra columns]`, what the likelihood is told of a row (exposure,
      trials, known noise), only where there are any; NaN stands for the default that svgp.json gives.

    A date is given in days since 1970-01-01 (a time of day in hours), its parts beside it as numbers. With
    `missing: indicator` NaN, or an empty category, stands for a missing value.

    and gives float64 tensors in the target's original units: `mean [N, P]`, `std [N, P]` of a new
    observation and `quantiles [N, P, 3]` at 0.025, 0.5 and 0.975; for two classes `probability [N]` of the
    second one, for more `probability [N, K]` of each, and `label [N]`. A missing number (NaN) gives NaN.
    `svgp.json` beside it names the columns.

    Raises RunError where `directory` exists or cannot be written.
    """
    path = Path(directory)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(f"{path}: already exists and is not empty; choose another folder")
    served = Served(Predictive(run.model) if sparse else run.predictive, run.columns)
    try:
        with new_directory(path) as folder:
            tf.saved_model.save(served, str(folder), signatures={"serving_default": served.predict})
            write_json(folder / "svgp.json", served.describe())
    except tf.errors.OpError as error:
        raise cannot_write(path, OSError(error.message)) from error
    return path


class Served(tf.Module):
    """Preprocessing, q(f), likelihood and units of a run in one graph; see `export`."""

    def __init__(self, predictive: Predictive, columns: Columns) -> None:
        super().__init__()
        self._columns = columns
        self._numeric = [name for name in columns.features if name not in columns.levels]
        self._categorical = [name for name in columns.inputs if name in columns.levels]
        self._predictive = ServedPredictive(predictive)
        # What only training reads (which rows are censored) nobody has to give.
        self._extras = [place for place, kind in enumerate(columns.extras) if EXTRAS[kind].in_predictions]
        specs = [tf.TensorSpec([None, len(self._numeric)], tf.float64, "inputs")]
        if self._categorical:
            specs.append(tf.TensorSpec([None, len(self._categorical)], tf.string, "categories"))
        if self._extras:
            specs.append(tf.TensorSpec([None, len(self._extras)], tf.float64, "extras"))
        # A signature takes its names from a function's arguments.
        call: Any = {
            (False, False): lambda inputs: self._predict(inputs),
            (True, False): lambda inputs, categories: self._predict(inputs, categories),
            (False, True): lambda inputs, extras: self._predict(inputs, extras=extras),
            (True, True): lambda inputs, categories, extras: self._predict(inputs, categories, extras),
        }[bool(self._categorical), bool(self._extras)]
        self.predict = tf.function(call, input_signature=specs, autograph=False)

    def describe(self) -> dict[str, Any]:
        """What the signature's columns are called, in order, and what comes out."""
        outcome, names = outcome_of(self._columns), list(self._columns.extras.values())
        return {
            "inputs": self._numeric,
            "categories": {name: self._columns.levels[name] for name in self._categorical},
            "unseen": self._columns.unseen,
            "extras": {names[place]: self._columns.extra_defaults[place] for place in self._extras},
            "targets": list(self._columns.target_names),
            "outputs": list(outcome.outputs),
            "classes": self._columns.classes,
            "levels": list(LEVELS) if "quantiles" in outcome.outputs else None,
        }

    def _predict(
        self, inputs: tf.Tensor, categories: tf.Tensor | None = None, extras: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor]:
        # Only TensorFlow's own operations can be saved.
        with backend("tensorflow"):
            X = self._scaled(self._model_inputs(inputs, categories))
            latent = self._predictive.predict_f(X)  # [N, L] each
            told = self._model_extras(tf.shape(inputs)[0], extras, latent[0].dtype)
            return outcome_of(self._columns).serve(
                self._predictive.likelihood, self._columns, latent, LEVELS, told
            )

    def _model_extras(self, rows: tf.Tensor, extras: tf.Tensor | None, dtype: tf.DType) -> tf.Tensor | None:
        """All extra columns [N, E] in the model's units, by default where they are NaN or not asked for."""
        columns = self._columns
        if not columns.extras:
            return None
        parts = [tf.fill([rows], tf.constant(default, tf.float64)) for default in columns.extra_defaults]
        for place, number in enumerate(self._extras):
            assert extras is not None
            given = extras[:, place]
            parts[number] = tf.where(tf.math.is_nan(given), parts[number], given)
        return tf.cast(columns.in_model_units(tf.stack(parts, axis=1)), dtype)

    def _model_inputs(self, inputs: tf.Tensor, categories: tf.Tensor | None) -> tf.Tensor:
        """X [N, D] before scaling: numbers as they are, categories one-hot, in the order of training."""
        blocks, absent, stand_ins = [], {}, self._columns.stand_ins
        for name in self._columns.features:
            if name in self._columns.levels:
                assert categories is not None
                values = categories[:, self._categorical.index(name)]
                blocks.append(self._one_hot(name, values))
                absent[name] = (values == "")[:, None]
            else:
                place = self._numeric.index(name)
                column = inputs[:, place : place + 1]
                absent[name] = tf.math.is_nan(column)
                if name in stand_ins:
                    column = tf.where(absent[name], tf.constant(stand_ins[name], tf.float64), column)
                blocks.append(column)
        told = [tf.cast(absent[name], tf.float64) for name in self._columns.gaps]
        return tf.concat([*blocks, *told], axis=1)

    def _scaled(self, raw: tf.Tensor) -> tf.Tensor:
        """X [N, D] of inputs in their own units."""
        columns = list(tf.unstack(raw, axis=1))
        for name, squeeze in self._columns.squeezed.items():
            place = self._columns.input_names.index(name)
            columns[place] = squeeze.forward(columns[place], tf.asinh)
        X: tf.Tensor = (tf.stack(columns, axis=1) - self._columns.input_mean) / self._columns.input_scale
        return X

    def _one_hot(self, name: str, values: tf.Tensor) -> tf.Tensor:
        levels = np.array([level.encode() for level in self._columns.levels[name]], dtype=object)
        equal = values[:, None] == tf.constant(levels)[None, :]  # [N, levels]
        if self._columns.unseen == "error":
            known = tf.reduce_any(equal, axis=1)
            known = tf.reduce_all(known | (values == "") if name in self._columns.gaps else known)
            message = f"column '{name}' has a level that training has not seen"
            with tf.control_dependencies([tf.debugging.Assert(known, [message])]):
                equal = tf.identity(equal)
        return tf.cast(equal, tf.float64)
