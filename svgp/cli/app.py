"""The command `svgp`: its subcommands, and what becomes of an error.

Exit codes: 0 done; 1 an error, one message; 2 usage; 3 training diverged; 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from svgp import __version__
from svgp.cli import config_commands, doctor, launch, run_commands, training
from svgp.cli.output import error_line
from svgp.errors import SvgpError


class Commands(TyperGroup):
    """Lists commands in the order in which a person needs them; ends a Ctrl-C with 130."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            error_line("interrupted")
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # half of what `svgp --help` would take
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"svgp {__version__}")
        raise typer.Exit


@app.callback()
def svgp(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train sparse variational Gaussian processes from a table and a YAML file.

    To begin: svgp init TABLE --target COLUMN -o CONFIG, then svgp train CONFIG.
    """


app.command("init")(config_commands.init)
app.command("check")(config_commands.check)
app.command("train")(training.train)
app.command("evaluate")(run_commands.evaluate)
app.command("diagnose")(run_commands.diagnose)
app.command("predict")(run_commands.predict)
app.command("plot")(run_commands.plot)
app.command("report")(run_commands.report)
app.command("runs")(run_commands.runs)
app.command("export")(run_commands.export)
app.command("schema")(config_commands.schema)
app.command("update")(run_commands.update)
app.command("launch")(launch.launch)
app.command("doctor")(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line (default: this process's) and exit with its code; `--debug` may stand anywhere."""
    # TensorFlow reads this when it is imported; what it would say at import is no news to a user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _let_any_letter_through()
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app([argument for argument in given if argument != "--debug"], prog_name="svgp")
    except BrokenPipeError:
        # The reader (`| head`) has enough; without this the flush at exit would fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            traceback.print_exc()
        else:
            error_line(message(error))
        sys.exit(getattr(error, "exit_code", 1))


def _let_any_letter_through() -> None:
    """Where the locale has no letter of a column's name, say, it is escaped: that is no reason to fail."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def message(error: Exception) -> str:
    """What a user is told: our own errors as they are, the system's and unforeseen ones in short."""
    if isinstance(error, SvgpError):
        return str(error)
    if isinstance(error, MemoryError):
        return "out of memory: lower train.batch_size or model.inducing.count, or use fewer rows"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    told = " ".join(str(error).split())[:300]
    return (
        f"{type(error).__name__}: {told}\nThis is unexpected; run the same command with --debug to see where."
    )
