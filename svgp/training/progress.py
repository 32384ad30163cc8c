"""What a person sees while a run trains: a line on a terminal, rows elsewhere, nothing in a library."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

_SHOWN = ("test.rmse", "test.accuracy", "test.nlpd")


class Progress(Protocol):
    """Receives what a run has to say; the run knows nothing of terminals."""

    def note(self, text: str) -> None:
        """A sentence that stays on the screen."""
        ...

    def row(self, row: Mapping[str, Any], *, rate: float, remaining_s: float | None) -> None:
        """A logged row, steps per second of training, and seconds that are left (None: unknown)."""
        ...

    def close(self) -> None: ...


class Silent:
    """Says nothing; the library's default."""

    def note(self, text: str) -> None: ...

    def row(self, row: Mapping[str, Any], *, rate: float, remaining_s: float | None) -> None: ...

    def close(self) -> None: ...


class Plain:
    """Rows of text for a log or a pipe: each evaluation, and one row every `every_s` seconds between."""

    def __init__(self, file: TextIO | None = None, every_s: float = 10.0) -> None:
        self._file = file or sys.stderr
        self._every_s = every_s
        self._last_s = float("-inf")

    def note(self, text: str) -> None:
        print(text, file=self._file, flush=True)

    def row(self, row: Mapping[str, Any], *, rate: float, remaining_s: float | None) -> None:
        evaluated = any(name.startswith("test.") for name in row)
        if evaluated or row["wall_s"] - self._last_s >= self._every_s:
            self._last_s = row["wall_s"]
            print(describe_row(row, rate, remaining_s), file=self._file, flush=True)

    def close(self) -> None: ...


class Terminal:
    """One line that rewrites itself, with a spinner; notes scroll by above it. Needs rich."""

    def __init__(self, console: Any = None) -> None:
        from rich.console import Console
        from rich.status import Status

        self._console = console or Console(stderr=True)
        self._status = Status("", console=self._console)
        self._test = ""

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def row(self, row: Mapping[str, Any], *, rate: float, remaining_s: float | None) -> None:
        from rich.text import Text

        self._test = describe_test(row) or self._test  # the last evaluation stays in view
        self._status.update(Text(describe_row(row, rate, remaining_s, test=self._test)))
        self._status.start()

    def close(self) -> None:
        self._status.stop()


def describe_row(
    row: Mapping[str, Any], rate: float, remaining_s: float | None, test: str | None = None
) -> str:
    """`epoch 1.20  step 48  ELBO/row -0.8123  KL 120.1  test.rmse 0.31  41.2 steps/s  1:04 left`."""
    parts = [
        f"epoch {row['epoch']:.2f}",
        f"step {row['step']}",
        f"ELBO/row {row['elbo_per_row']:.4f}",
    ]
    parts += [f"objective/row {row['objective_per_row']:.4f}"] if "objective_per_row" in row else []
    parts += [f"KL {row['kl']:.1f}"]
    parts += [f"{row['repairs']} jitter repairs"] if row.get("repairs") else []
    test = describe_test(row) if test is None else test
    parts += [test] if test else []
    parts += [f"{rate:.1f} steps/s"]
    parts += [f"{clock(remaining_s)} left"] if remaining_s is not None else []
    return "  ".join(parts)


def describe_test(row: Mapping[str, Any]) -> str:
    """The test metrics that fit a line, `test.rmse 0.31  test.nlpd 0.27`, or nothing."""
    return "  ".join(f"{name} {row[name]:.4g}" for name in _SHOWN if row.get(name) is not None)


def clock(seconds: float) -> str:
    """`0:07`, `12:30` or `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
