"""The command train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from svgp.cli.output import print_metrics
from svgp.cli.quiet import import_tensorflow

if TYPE_CHECKING:
    from svgp.config import Config
    from svgp.training import Progress


def train(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONFIG KEY=VALUE",
            help="A YAML config, and changes to it such as train.seed=3.",
            show_default=False,
        ),
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option("--run-dir", metavar="DIR", help="Run folder to make.", show_default="by name and time"),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option("--resume", metavar="RUN", help="Go on with this run, from its last checkpoint."),
    ] = None,
) -> None:
    """Train a model. A first Ctrl-C saves and stops, a second one quits.

    --resume needs no CONFIG, as the run has its own. KEY=VALUE may still move its end, as in
    train.max_epochs=200.
    """
    path, overrides = _config_and_overrides(words or [], resume)
    config = _load(path, overrides)
    import_tensorflow()
    from svgp.runs import train as train_run

    run = train_run(config, run_dir=run_dir, resume=resume, progress=_progress())
    from svgp.workers import present

    if not present().chief:
        return
    print()
    own = ("train.objective", "train.objective_per_row")
    shown = ("train.elbo", "train.elbo_per_row", *own, "wall_s", "steps", "stopped")
    metrics = run.metrics
    print_metrics({name: metrics[name] for name in metrics if name.startswith("test.") or name in shown})
    print(f"\nrun     {run.path}")
    print(f"plots   {run.path / 'plots'}")
    print(f"report  {run.path / 'report.html'}")


def _config_and_overrides(words: list[str], resume: Path | None) -> tuple[Path, list[str]]:
    """The first word is the config, unless it is an override and a run that is resumed has the config."""
    if words and ("=" not in words[0] or Path(words[0]).exists()):
        return Path(words[0]), words[1:]
    if resume is None:
        raise typer.BadParameter("missing; name a YAML config, or --resume a run", param_hint="CONFIG")
    return resume / "config.yaml", words


def _load(path: Path, overrides: list[str]) -> Config:
    from svgp.config import load_config

    return load_config(path, overrides)


def _progress() -> Progress:
    from svgp.training.progress import Plain, Terminal

    return Terminal() if sys.stderr.isatty() else Plain()
