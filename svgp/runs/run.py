"""A run folder, opened: its config, metrics, model, predictions and plots."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from svgp import files
from svgp.config import Config, load_config
from svgp.data import Columns, Dataset, iter_tables
from svgp.data.layout import AS_FOUND
from svgp.data.names import counted
from svgp.data.origin import source_of
from svgp.errors import DataError, RunError
from svgp.runs.earlier import rows_of
from svgp.runs.evaluation import Evaluator
from svgp.runs.folder import RunFolder
from svgp.runs.outcomes import combined, predict, score, score_rows
from svgp.runs.predictions import LEVELS, Predictions, as_table
from svgp.runs.streaming import predict_stream
from svgp.runs.tables import format_for

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from svgp.models import Predictive
    from svgp.runs.hyperparameters import Found

_TRAINING_ROWS = 20_000  # in pictures of predictions, where there are no test rows


def load_run(path: str | Path) -> Run:
    """Open a run folder. The training data need not be there, except for what says so.

    Raises RunError where `path` is no run folder, or a part of it is damaged (when that part is used).
    """
    folder = RunFolder(path)
    folder.require_run()
    return Run(folder)


def _figures() -> ModuleType:
    from svgp.runs import figures  # with matplotlib, half a second that a run can wait for

    return figures


class Run:
    """One run. Everything is read when it is first asked for."""

    def __init__(
        self,
        folder: RunFolder,
        *,
        dataset: Dataset | None = None,
        evaluator: Evaluator | None = None,
        predictive: Predictive | None = None,
    ) -> None:
        self.folder = folder
        known = {"dataset": dataset, "evaluator": evaluator, "predictive": predictive}
        # What training has in memory need not be read again.
        self.__dict__.update({name: value for name, value in known.items() if value is not None})

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, status={self.status!r})"

    @property
    def path(self) -> Path:
        """The run folder."""
        return self.folder.path

    @property
    def status(self) -> str:
        """running, finished, interrupted or failed."""
        return str(self.folder.read_status()["status"])

    @property
    def metrics(self) -> dict[str, Any]:
        """metrics.json: `train.elbo`, `test.rmse` ...; empty while the run has not finished."""
        return files.read_object(self.folder.metrics) if self.folder.metrics.exists() else {}

    @cached_property
    def config(self) -> Config:
        """The resolved config."""
        return load_config(self.folder.config)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """environment.json: versions, device, command, data."""
        return files.read_object(self.folder.environment) if self.folder.environment.exists() else {}

    def history(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl."""
        return files.read_json_lines(self.folder.history)

    def inducing_history(self) -> list[dict[str, Any]]:
        """The rows of inducing.jsonl."""
        return files.read_json_lines(self.folder.inducing_history)

    @cached_property
    def _saved(self) -> tuple[Any, dict[str, Any]]:
        from svgp.models import load_model

        if not self.folder.model.is_dir():
            raise RunError(
                f"{self.path}: has no saved model yet; finish it with svgp train --resume {self.path}"
            )
        return load_model(self.folder.model)

    @property
    def model(self) -> Any:
        """The trained `svgp.models.SVGP`; it works on scaled inputs and targets."""
        return self.evaluator.model

    @cached_property
    def evaluator(self) -> Evaluator:
        """What the inducing points alone say, and the ELBO."""
        return Evaluator(self._saved[0])

    @cached_property
    def predictive(self) -> Predictive:
        """What `predict`, `evaluate` and the report say of rows."""
        from svgp.models import load_predictive

        return load_predictive(self.folder.model, self.model, self._saved[1])

    @cached_property
    def columns(self) -> Columns:
        """How raw columns become the model's inputs, and predictions original units again."""
        dataset = self.__dict__.get("dataset")
        if dataset is not None:
            return dataset.columns
        return Columns.from_dict(self._saved[1].get("columns", {}))

    @cached_property
    def dataset(self) -> Dataset:
        """The training and test rows, read anew from the config's data. Raises DataError if they are gone."""
        return rows_of(self.config)

    def predict(self, X: Any, levels: Sequence[float] = LEVELS) -> Predictions:
        """Predictions in original units for X: a table, a DataFrame, a mapping of columns or an array.

        An array is `[N, D]` in original units, its columns in the order of `columns.inputs`.
        Raises DataError for columns that are missing or unusable.
        """
        table = as_table(X, self.columns)
        columns = self.columns.matched([table])
        extras = columns.transform_extras(table)
        return self.predict_scaled(columns.transform_inputs(table), levels, extras)

    def predict_scaled(
        self, X: np.ndarray, levels: Sequence[float] = LEVELS, extras: np.ndarray | None = None
    ) -> Predictions:
        """Predictions in original units for inputs `[N, D]` that are scaled already.

        `extras` `[N, E]`: what the likelihood is told of each row (`Columns.transform_extras`).
        """
        return predict(self.predictive, self.columns, X, levels, extras)

    def sample(self, X: Any, count: int = 1, *, seed: int = 0) -> np.ndarray:
        """`count` functions drawn from the posterior, at X: `[K, N]`, or `[K, N, P]` for several targets.

        In original units, without noise: consistent functions, so that maxima, differences between rows and
        areas have a distribution. See `svgp.runs.functions.Sampler`.
        """
        from svgp.runs.functions import Sampler

        return Sampler(self, count, seed)(self.columns.read_inputs(as_table(X, self.columns)))

    def covariance(self, X: Any, *, full_output_cov: bool = False) -> np.ndarray:
        """Joint covariance of the function at rows X, `[N, N]` or `[P, N, N]`, in squared original units.

        With `full_output_cov` that of the targets in each row instead, `[N, P, P]`.
        """
        from svgp.runs.functions import covariance

        return covariance(self, X, full_output_cov=full_output_cov)

    def output_correlations(self) -> np.ndarray:
        """Between the functions of the targets, `[P, P]`, by the prior that training found."""
        from svgp.runs.functions import output_correlations

        return output_correlations(self)

    def gradient(self, X: Any) -> np.ndarray:
        """Slope of the predicted mean in `columns.input_names`, `[N, D]` or `[N, P, D]`, original units."""
        from svgp.runs.functions import gradient

        return gradient(self, X)

    def predict_held_out(self, levels: Sequence[float] = LEVELS) -> tuple[Predictions, np.ndarray]:
        """Predictions and scaled targets `[N, P]` of the test rows; without any, of training rows.

        Of these at most 20,000 evenly spaced ones: predicting a large table takes as long as training on it.
        """
        dataset = self.dataset
        if dataset.X_test is not None and dataset.Y_test is not None:
            X, Y = dataset.X_test, dataset.Y_test
        else:
            rows = slice(None, None, -(-len(dataset.X) // _TRAINING_ROWS))
            X, Y = dataset.X[rows], dataset.Y[rows]
        return self.predict_scaled(X, levels, self.columns.extras_of(Y)), self.columns.targets_of(Y)

    def evaluate(self, data: Any = None) -> dict[str, float]:
        """Metrics in original units (`rmse`, `nlpd`, ...; see `svgp.runs.outcomes.score`).

        data: a path or a table with inputs and targets; None: the config's own test rows.
        Raises DataError where targets are missing, RunError where the config holds no test rows.
        """
        if data is None:
            if self.dataset.test_rows is None:
                raise RunError(f"{self.path}: its config holds out no test rows; give a file (--data)")
            return score_rows(self.predictive, self.columns, self.dataset.test_rows)
        from_file = isinstance(data, (str, Path))
        whole = None if from_file else as_table(data, self.columns)

        format = format_for(self, data) if from_file else AS_FOUND

        def tables() -> Iterable[Any]:
            if whole is not None:
                return [whole]
            return iter_tables(data, text=self.columns.text, format=format)

        for table in tables():
            if not self.columns.has_targets(table):
                missing = [name for name in self.columns.target_names if name not in table.column_names]
                raise DataError(
                    f"evaluate: the data lack the target column '{missing[0]}'; to predict use svgp predict"
                )
            break
        columns = self.columns.matched(tables(), str(data) if whole is None else source_of(whole))
        parts = []
        for table in tables():
            complete = columns.complete_rows(table, targets=True)
            if not complete.all() and self.config.data.missing == "drop":
                table = table.filter(complete)
            if table.num_rows == 0:
                continue
            X, Y = columns.transform_inputs(table), columns.transform_targets(table)
            parts.append((len(X), score(self.predictive, self.columns, X, Y)))
        if not parts:
            raise DataError("evaluate: each row misses a value, and data.missing: drop leaves such out")
        return combined(parts)

    def predict_file(
        self,
        data: str | Path,
        out: str | Path,
        *,
        samples: int = 0,
        seed: int = 0,
        note: Callable[[str], None] = lambda text: None,
    ) -> int:
        """Stream the table `data` to `out` with the predictions' columns added; returns the number of rows.

        Columns: `<target>_mean`, `_std`, `_q025`, `_q500`, `_q975`, or `_probability` (of the class
        `columns.classes[1]`; of more than two `_probability_<class>` each) and `_label`; with `samples` also
        `<target>_sample_1` ... of as many functions
        drawn from the posterior (`sample`). `note` is told of levels that training has not seen. Raises
        DataError, RunError; `out` appears when it is whole.
        """
        from svgp.runs.functions import Sampler

        draw = Sampler(self, samples, seed) if samples else None
        format, unseen = format_for(self, data), Counter[str]()
        columns = self.columns.matched(iter_tables(data, text=self.columns.text, format=format), str(data))

        def predict(table: Any) -> Predictions:
            X = columns.transform_inputs(table)
            unseen.update(columns.count_unseen(table))
            said = self.predict_scaled(X, extras=columns.transform_extras(table))
            return said if draw is None else replace(said, samples=draw(X))

        rows = predict_stream(data, out, predict, text=columns.text, format=format)
        for name, count in unseen.items():
            note(f"{counted(count, 'row')} with a level of '{name}' that training has not seen: zeros there")
        return rows

    def inducing_inputs(self) -> np.ndarray:
        """Z `[M, D]`, scaled; of latents with points of their own one set after another, `[L M, D]`."""
        Z = np.asarray(self.model.Z, dtype=np.float64)
        return Z.reshape(-1, Z.shape[-1])

    def inducing_start(self) -> np.ndarray | None:
        """Where Z began, scaled, as `inducing_inputs` gives it; None where it was not kept."""
        path = self.folder.inducing_start
        if not path.exists():
            return None
        Z = np.asarray(files.read_json(path), dtype=np.float64)
        return Z.reshape(-1, Z.shape[-1])

    def lengthscales(self) -> np.ndarray:
        """Of the scaled inputs, `[L or 1, D]`; infinite where the kernel ignores one."""
        D = len(self.columns.input_names)
        return np.asarray(self.model.kernel.input_lengthscales(D), dtype=np.float64).reshape(-1, D)

    def unscale_inputs(self, X: np.ndarray) -> np.ndarray:
        """Scaled inputs `[N, D]` in original units."""
        return self.columns.unscale_inputs(X)

    def hyperparameters(self) -> list[Found]:
        """What training found for kernel and likelihood: role, name, input, value, and in original units."""
        from svgp.runs.hyperparameters import found_values

        return found_values(self.model, self.columns)

    def figures(self) -> dict[str, Figure]:
        """Every figure that suits this run, by name. Needs the data."""
        return _figures().figures(self)

    def write_plots(self, folder: str | Path | None = None) -> list[Path]:
        """`figures()` as PNG files in `folder`, by default the run's plots/."""
        from svgp.diagnostics.plots import save_all

        return save_all(self.figures(), self.folder.plots if folder is None else folder)

    def write_report(self) -> Path:
        """report.html, one self-contained page, from the PNG files in plots/ and what was logged."""
        from svgp.report import write_report

        pictures = {path.stem: path.read_bytes() for path in sorted(self.folder.plots.glob("*.png"))}
        order = ("loss_curves", "fit", "probability_surface", "predicted_vs_actual")
        first = {name: pictures.pop(name) for name in order if name in pictures}
        return write_report(
            self.folder.report,
            config_yaml=self.folder.config.read_text(encoding="utf-8"),
            metrics=self.metrics,
            history=self.history(),
            inducing_history=self.inducing_history(),
            environment=self.environment,
            figures=first | pictures,
            hyperparameters=self.hyperparameters(),
            notes=[*self.environment.get("notes", []), *self.metrics.get("notes", [])],
            title=self.config.name,
        )

    def plot_loss_curves(self) -> Figure:
        """ELBO, its parts and test metrics over epochs and seconds."""
        return _figures().loss_curves(self)

    def plot_inducing_over_time(self) -> Figure:
        """The inducing-point diagnostics over epochs."""
        return _figures().inducing_over_time(self)

    def plot_inducing_positions(self) -> Figure:
        """Where the inducing points lie over the training rows. Needs the data."""
        return _figures().inducing_positions(self)

    def plot_ard_relevance(self) -> Figure:
        """The effect of each input on the predictions, and its lengthscale."""
        return _figures().ard_relevance(self)

    def plot_output_correlations(self) -> Figure:
        """The same as a picture. RunError where the outputs are independent."""
        return _figures().output_correlations(self)

    def plot_partial_dependence(self, target: int = 0) -> Figure:
        """The predicted mean over each of the most relevant inputs, averaged over rows. Needs the data."""
        return _figures().partial_dependence(self, target)

    def plot_fit(self) -> Figure:
        """Mean and 95% band over the one input. Needs the data; RunError with more inputs or classes."""
        return _figures().fit(self)

    def plot_probability_surface(self) -> Figure:
        """Probability over the two inputs. Needs the data; RunError with other inputs or no classes."""
        return _figures().probability_surface(self)

    def plot_predicted_vs_actual(self, target: int = 0) -> Figure:
        """Predicted mean against actual value of the test rows. Needs the data and a regression."""
        return _figures().predicted_vs_actual(self, target)

    def plot_residuals_vs_std(self, target: int = 0) -> Figure:
        """Residual against predicted standard deviation. Needs the data and a regression."""
        return _figures().residuals_vs_std(self, target)

    def plot_calibration(self) -> Figure:
        """Whether probabilities, or central intervals, mean what they say. Needs the data."""
        return _figures().calibration(self)
