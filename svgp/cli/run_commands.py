"""Commands on runs: evaluate, diagnose, predict, plot, report, runs, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from svgp.cli.output import note_line, number, print_metrics, print_table
from svgp.cli.quiet import import_tensorflow

if TYPE_CHECKING:
    from svgp.runs import Run

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)]


def evaluate(
    run: RunPath,
    data: Annotated[
        Path | None, typer.Option("--data", help="A table with the target; default: the test rows.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score a run on its test rows, or on a table."""
    from svgp.files import json_text

    opened = _open(run)
    from svgp.runs import evaluate as evaluate_run

    metrics = evaluate_run(opened, data)
    if as_json:
        print(json_text(metrics))
    else:
        print_metrics(metrics)


def diagnose(
    run: RunPath, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False
) -> None:
    """Say what the inducing points do, and how much more of them could bring. Needs the run's data."""
    from svgp.files import json_text

    opened = _open(run)
    from svgp.runs import diagnose as diagnose_run

    found = diagnose_run(opened)
    if as_json:
        print(json_text(found))
        return
    shown = ("count", "redundant", "uninformed", "outside", "residual_mean", "condition_number", "kl")
    print_metrics({name: found["inducing"][name] for name in shown})
    print()
    for sentence in found["sentences"]:
        print(f"- {sentence}")


def predict(
    run: RunPath,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A table with the input columns.", show_default=False)
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write: .csv, .csv.gz or .parquet.", show_default=False),
    ],
    samples: Annotated[
        int, typer.Option("--samples", metavar="K", min=0, help="Also K functions drawn from the posterior.")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which functions are drawn.")] = 0,
) -> None:
    """Predict each row of a table; its own columns are kept.

    --samples K adds TARGET_sample_1 to _K, consistent draws of the function without noise.
    """
    opened = _open(run)
    from svgp.data.names import counted
    from svgp.runs import predict_file

    rows = predict_file(opened, data, output, samples=samples, seed=seed, note=note_line)
    print(f"{output}: {counted(rows, 'row')}")


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for the plots.", show_default="RUN/plots; for several runs plots"
        ),
    ] = None,
) -> None:
    """Draw a run's curves and diagnostics; several runs' curves over each other."""
    if len(runs) == 1:
        written = _open(runs[0]).write_plots(output)
    else:
        from svgp.runs.comparison import write_comparison

        written = write_comparison(runs, output or "plots")
    for path in written:
        print(path)


def report(run: RunPath) -> None:
    """Write a run's report.html anew: one file that holds everything it shows."""
    print(_open(run).write_report())


def runs(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where to look.")] = Path("runs"),
    sort: Annotated[
        str, typer.Option("--sort", metavar="COLUMN", help="Column to sort by; -COLUMN for descending.")
    ] = "started",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show the runs in a folder."""
    from svgp.files import json_text
    from svgp.runs.listing import list_runs

    rows = _sorted(list_runs(folder), sort)
    if as_json:
        print(json_text(rows))
    elif rows:
        _print_runs(rows, folder)
    else:
        print(f"no runs in {folder}; svgp train CONFIG makes one")


def export(
    run: RunPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make.", show_default=False)],
    sparse: Annotated[
        bool, typer.Option("--sparse", help="The inducing points alone: no training rows, no calibration.")
    ] = False,
) -> None:
    """Write a TensorFlow SavedModel: raw inputs in, predictions in original units out."""
    opened = _open(run)
    from svgp.runs.export import export as export_run

    print(export_run(opened, output, sparse=sparse))


def update(
    run: RunPath,
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A table of new rows, with the target.", show_default=False)
    ],
    run_dir: Annotated[
        Path | None,
        typer.Option("--run-dir", metavar="DIR", help="Run folder to make.", show_default="beside RUN"),
    ] = None,
    points: Annotated[
        int, typer.Option("--points", metavar="K", min=0, help="Add K inducing points at the new rows.")
    ] = 0,
    refit: Annotated[
        bool, typer.Option("--refit", help="Fit the hyperparameters to the new rows, too.")
    ] = False,
) -> None:
    """Fold new rows into a run's model without the old ones; makes a new run folder."""
    opened = _open(run)
    from svgp.runs import update as update_run

    updated = update_run(opened, data, run_dir=run_dir, points=points, refit=refit)
    metrics = updated.metrics
    shown = ("update.", "test.")
    print_metrics({name: x for name, x in metrics.items() if name.startswith(shown) or name == "wall_s"})
    print(f"\nrun     {updated.path}")


def _open(path: Path) -> Run:
    import_tensorflow()
    from svgp.runs import load_run

    return load_run(path)


_COLUMNS = (
    "name", "started", "status", "steps", "wall_s", "train.elbo", "test.rmse", "test.nlpd",
    "test.coverage_95", "test.accuracy", "test.ece",
)  # fmt: skip


def _print_runs(rows: list[dict[str, Any]], folder: Path) -> None:
    shown = [name for name in _COLUMNS if any(row.get(name) is not None for row in rows)]
    numbers = [name for name in shown if name not in ("name", "started", "status")]
    cells = [[*(number(row.get(name)) for name in shown), _short(row["path"], folder)] for row in rows]
    print_table([*shown, "path"], cells, right=numbers)


def _short(path: str, folder: Path) -> str:
    resolved = folder.absolute()
    return str(folder / Path(path).relative_to(resolved)) if Path(path).is_relative_to(resolved) else path


def _sorted(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """Rows by a column, ascending or (`-column`) descending; those without a value come last."""
    name, descending = column.lstrip("-"), column.startswith("-")
    known = sorted({key for row in rows for key in row})
    if rows and name not in known:
        raise typer.BadParameter(f"no run has '{name}'; there are {', '.join(known)}", param_hint="--sort")
    having = [row for row in rows if row.get(name) is not None]
    rest = [row for row in rows if row.get(name) is None]
    return sorted(having, key=lambda row: row[name], reverse=descending) + rest
