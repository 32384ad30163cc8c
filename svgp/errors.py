"""Everything svgp raises on purpose.

SvgpError                 exit code 1
├── ConfigError           a config file or an override is wrong; holds every problem found
├── DataError             a table cannot be read, or cannot be used as asked
├── ModelError            model parts that do not fit together (shapes, dtypes, missing targets)
├── NumericalError        a matrix that cannot be handled
├── RunError              a run folder that is missing, damaged or in the way
├── TrainingDiverged      exit code 3: training stopped, with a diagnosis
└── Interrupted           exit code 130: stopped by the user, state saved

A message says what happened, where, what was found, what was expected and what to try.
"""

from __future__ import annotations

from collections.abc import Sequence


class SvgpError(Exception):
    """Base of all errors that svgp raises on purpose; its text is meant for the user."""

    exit_code = 1


class ConfigError(SvgpError):
    """A config that does not validate.

    `problems` holds one line for each problem, `file:line:column: key: what; what to try`.
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class DataError(SvgpError):
    """A table that cannot be read, or whose content cannot be used as the config asks."""


class ModelError(SvgpError):
    """Parts of a model, or a model and its data, that do not fit together."""


class NumericalError(SvgpError):
    """A matrix or a value that the mathematics cannot handle."""


class RunError(SvgpError):
    """A run folder that is missing, damaged or in the way."""


class TrainingDiverged(SvgpError):
    """Training could not go on; the last good state is saved and the message is the diagnosis."""

    exit_code = 3


class Interrupted(SvgpError):
    """The user stopped the run; its state is saved and it can be resumed."""

    exit_code = 130
