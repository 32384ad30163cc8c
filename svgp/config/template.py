"""The config that `svgp init` writes: every choice that a first run may want to change, with its reason."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from svgp.config.likelihoods import LIKELIHOODS
from svgp.config.model import InducingConfig
from svgp.config.neighbours import NeighboursConfig
from svgp.config.template_data import (
    ColumnKind,
    categorical_lines,
    column_lines,
    format_lines,
    input_lines,
    missing_line,
)
from svgp.config.train import TrainConfig
from svgp.config.writer import inline

LikelihoodName = str  # a word of `svgp.config.likelihoods.LIKELIHOODS`

# A tab stands before a comment; values hold none, since YAML escapes it. Comments are aligned at the end.
_TEMPLATE = """\
# Train with:  svgp train {file}
# Anything below can be changed for one run:  svgp train {file} train.max_epochs=20

name: {name}\truns are kept in runs/<name>/

data:
  path: {path}\trelative to this file
{format}
  target: {target}\tthe column to predict, or a list of them
{inputs}
{categorical}
{columns}
  unseen: zeros\ta category that training never saw: zeros, or error
  test: {{fraction: 0.1}}\trows held out to measure the result; or {{path: test.csv}}
  standardize: true\tpredictions come back in original units either way
  input_transform: auto\tdraws in values far outside the rest; none: as they are
  target_transform: {transform}\tlog or quantile, for a skewed target; predictions come back as it is
  missing: {missing}

model:
  # ard: a lengthscale for each input, so that inputs that do not matter are found. A smoother function:
  # matern52 or squared_exponential. Kernels add up: {{sum: [{{type: matern32}}, {{type: linear}}]}}
  kernel: {{type: matern32, ard: true}}
  likelihood: {{type: {likelihood}}}\t{why}
  mean: zero\tconstant or linear, if predictions far from the data should follow a trend
  inducing:
    # More is more accurate, and slower: cost grows with its square. {count_why}
    count: {count}
    init: kmeans\twhere they start; they move while training
  neighbours: {{count: {neighbours}}}\ttraining rows near a point that its prediction sees as well; 0: none
  posterior: {{whiten: true}}\tadam gets there in far fewer steps than with false

train:
  method: auto\tadam, natgrad or collapsed, chosen by likelihood, rows and inducing points
  batch_size: auto\trows a step; 1,024, or all of them where that is less work
  max_epochs: {max_epochs}
  learning_rate: null\teach method's own; a smaller one is safer, a larger one faster
  evaluate_every: {evaluate_every}\tepochs
  seed: 0
  precision: float64\tfloat32 is faster on a GPU, and less safe
  device: auto\ta GPU if there is one

output:
  dir: runs\trelative to this file
"""
_COMMENT_COLUMN = 30
_LIMITS = "max_steps and max_seconds also end a run"
_ENDS = "it ends by itself, where no more is to be gained"


def template_for_table(
    path: str | Path,
    target: str | Sequence[str],
    columns: Sequence[tuple[str, ColumnKind]],
    *,
    likelihood: LikelihoodName = "gaussian",
    transform: str = "none",
    rows: int | None = None,
    missing: int = 0,
    policy: str | None = None,
    why: Mapping[str, str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    format: Mapping[str, Any] | None = None,
    file: str = "config.yaml",
) -> str:
    """A commented config for a table; it validates as it is.

    Args:
        path: the data, absolute or relative to the folder that the config will be written to.
        target: the column, or columns, to predict.
        columns: the other columns and what each holds; `other` (free text, identifiers) is left out of the
            inputs. Targets among them are passed over.
        likelihood: what suits the target.
        transform: `data.target_transform`.
        rows: how many rows there are, if that is known: small tables get fewer inducing points,
            and more epochs.
        missing: how many rows have missing values.
        policy: what is done about them; None: they are dropped if there are any.
        why: by column, how it is read, or why it is left out.
        settings: what `data.columns` says of columns.
        format: what `data.format` says of the file.
        file: the name that the config will have, for its comments.

    Raises ValueError for a kind of column, or a likelihood, that is not known.
    """
    targets = [target] if isinstance(target, str) else list(target)
    _check(columns, likelihood)
    inputs = [(name, kind) for name, kind in columns if name not in targets]
    count = 512 if rows is None else max(1, min(512, rows * 9 // 10))
    epochs = _epochs(rows)
    why_count = "512 suits many tables." if count == 512 else "This is about every training row."
    # What the defaults are is said where they are: a default that chooses by itself is taken over.
    auto = InducingConfig.model_fields["count"].default == "auto"
    converges = TrainConfig.model_fields["max_epochs"].default is None
    text = _TEMPLATE.format(
        file=file,
        name=inline(folder_name(path)),
        path=inline(os.fspath(path)),
        target=inline(targets[0] if len(targets) == 1 else targets),
        format=format_lines(format or {}),
        inputs=input_lines(inputs, why or {}),
        categorical=categorical_lines(inputs, why or {}),
        columns=column_lines(settings or {}, why or {}),
        missing=missing_line(policy or ("drop" if missing else "error"), missing),
        likelihood=likelihood,
        transform=transform,
        why=getattr(LIKELIHOODS[likelihood], "suits", ""),
        count="auto" if auto else count,
        neighbours=NeighboursConfig.model_fields["count"].default,
        count_why="auto: as many as a trial finds." if auto else why_count,
        max_epochs=f"null\t{_ENDS}" if converges else f"{epochs}\tpasses over the rows; {_LIMITS}",
        evaluate_every=max(1.0, epochs / 100),
    )
    return "\n".join(_aligned(line) for line in text.split("\n"))


def _aligned(line: str) -> str:
    value, tab, comment = line.partition("\t")
    return f"{value:<{_COMMENT_COLUMN - 2}}  # {comment}" if tab else line


def folder_name(path: str | Path) -> str:
    """A run name made of a file's name: `My table.csv.gz` gives `My-table`."""
    stem = Path(path).name.split(".")[0] if not Path(path).name.startswith(".") else ""
    kept = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in stem)
    return kept.strip("-")[:60] or "run"


def _check(columns: Sequence[tuple[str, ColumnKind]], likelihood: str) -> None:
    kinds = sorted({kind for _, kind in columns} - set(get_args(ColumnKind)))
    if kinds:
        raise ValueError(f"unknown kinds of columns {kinds}; expected {', '.join(get_args(ColumnKind))}")
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"unknown likelihood {likelihood!r}; expected {', '.join(LIKELIHOODS)}")


def _epochs(rows: int | None) -> int:
    """Epochs for some 4,000 steps at 1,024 rows a step."""
    steps_an_epoch = 40 if rows is None else max(1, rows // 1024)
    return next((epochs for epochs in (20, 50, 100, 200, 500, 1000) if epochs * steps_an_epoch >= 4000), 2000)
