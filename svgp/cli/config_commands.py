"""Commands around a config: init, check, schema."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from svgp.cli.output import note_line, number, print_table
from svgp.cli.quiet import import_tensorflow
from svgp.errors import RunError

if TYPE_CHECKING:
    from svgp.config import Config
    from svgp.data import Dataset
    from svgp.data.summary import ColumnSummary, Summary

ConfigPath = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML config.", show_default=False)]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Changes, such as train.seed=3.", show_default=False),
]


def init(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A table: text, Parquet, Arrow, Excel, SQLite ...", show_default=False
        ),
    ],
    target: Annotated[list[str], typer.Option("--target", help="Column to predict; repeat for more.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="How to read it, such as data.format.decimal=, or data.columns.when.type=date.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Config to write.")] = None,
) -> None:
    """Write a commented config for a table."""
    from svgp.errors import ConfigError
    from svgp.files import write_text

    path = output or Path(data.name.split(".")[0] + ".yaml")
    if path.exists():
        raise ConfigError(f"{path}: already exists; choose another name with -o")
    from svgp.data.first_config import first_config

    text, told = first_config(data, target, path, overrides or ())
    write_text(path, text)
    print(f"{path}: {told[0]}")
    for line in told[1:]:
        print(f"- {line}")
    print(f"next: svgp check {path}  or  svgp train {path}")


def check(config: ConfigPath, overrides: Overrides = None) -> None:
    """Validate a config and its data, and report what stands out."""
    from svgp.config import load_config
    from svgp.data.summary import summarise

    loaded = load_config(config, overrides or ())
    from svgp.runs.earlier import rows_of

    dataset = rows_of(loaded)
    summary = summarise(dataset)
    _print_summary(summary)
    for finding in [*summary.findings, *_against(loaded, summary)]:
        print(f"- {finding}")
    print(f"- {_forecast(loaded, dataset, summary)}")
    note_line(f"{config}: valid")


def schema() -> None:
    """Print the JSON schema of the config, for editors."""
    from svgp.config import config_schema
    from svgp.files import json_text

    print(json_text(config_schema()))


def _forecast(config: Config, dataset: Dataset, summary: Summary) -> str:
    """What a run will take; where it chooses how many inducing points, that is done here as well."""
    from svgp.runs.forecast import forecast

    points, why = None, ""
    if config.model.inducing.count == "auto":
        import_tensorflow()  # some seconds, and then a pilot
        from svgp.runs.inducing_count import with_count
        from svgp.training.device import choose_device

        try:
            choose_device(config.train.device)
        except RunError as error:
            print(f"- {error}")
        _, found = with_count(config, dataset)
        if found is not None:
            points, why = int(found["count"]), f"{found['sentence']}\n- "
    said = forecast(
        config, summary.rows, summary.inputs, _latents(config, dataset), points=points,
        at_hand=summary.at_hand, test_rows=summary.test_rows,
    )  # fmt: skip
    return why + said.describe()


def _latents(config: Config, dataset: Dataset) -> int:
    """How many latent GPs the model will have."""
    columns = dataset.columns
    functions = config.model.likelihood.functions(len(columns.target_names), len(columns.classes or ()))
    return config.model.outputs.latent_count(functions)


def _print_summary(summary: Summary) -> None:
    test = f", {summary.test_rows:,} test rows" if summary.test_rows else ", no test rows"
    print(f"{summary.name}: {summary.rows:,} training rows{test}, {summary.inputs} inputs to the model")
    if summary.at_hand < summary.rows:
        print(f"Numbers and findings below are those of {summary.at_hand:,} rows, drawn at random.")
    print()
    headers = ["column", "role", "mean", "std", "min", "max", ""]
    rows = [_cells(column) for column in summary.columns]
    print_table(headers, rows, right=("mean", "std", "min", "max"))
    print()


def _cells(column: ColumnSummary) -> list[str]:
    remark = "constant" if column.constant else ""
    if column.levels is not None:
        numbers, remark = (
            [""] * 4,
            remark or f"{column.levels} {'classes' if column.role == 'target' else 'levels'}",
        )
    else:
        numbers = [number(value) for value in (column.mean, column.std, column.low, column.high)]
    return [column.name, column.role, *numbers, remark]


def _against(config: Config, summary: Summary) -> list[str]:
    """What the config asks of this data that the data cannot give."""
    plain = config.data.target_transform == "none"  # else the likelihood is of what becomes of the target
    said = _other_likelihood(config.model.likelihood.type_name, summary) if plain else []
    wanted = config.model.inducing.count
    if wanted != "auto" and wanted > summary.rows:
        said.append(
            f"model.inducing.count: {wanted:,} inducing points for {summary.rows:,} rows; there will be fewer"
        )
    return said


# Likelihoods that are no worse a choice than the first of a line, for the same targets.
_AS_GOOD = {
    "gaussian": {"student_t", "laplace", "heteroskedastic", "quantile", "gamma", "exponential", "weibull"},
    "student_t": {"laplace", "quantile"},
    "poisson": {"negative_binomial", "zero_inflated_poisson"},
    "negative_binomial": {"zero_inflated_poisson"},
    "lognormal": {"gamma", "exponential", "weibull"},
}


def _other_likelihood(chosen: str, summary: Summary) -> list[str]:
    """That the target's values look like another likelihood's, and which."""
    found = summary.recommended
    if found is None or chosen == found.likelihood or chosen in _AS_GOOD.get(found.likelihood, ()):
        return []
    return [f"target: {found.reason}; model.likelihood: {{type: {found.likelihood}}} is made for such"]
