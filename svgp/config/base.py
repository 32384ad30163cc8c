"""What every part of the config tree shares: strictness, field declarations, and field types."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from svgp.remote import SCHEMES, is_remote, table_path

# An error of this type carries the final wording; its context may hold (key, message) pairs.
OURS = "svgp"


class Section(BaseModel):
    """A mapping of the config: unknown keys are refused, values are not coerced, nothing changes later."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        validate_default=True,
        # Validators are built when they are first used: the root's holds all others, and builds them once.
        defer_build=True,
    )

    example: ClassVar[str] = "{...}"  # shown where a mapping was expected and something else was given

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Pairs (key below this section, message) for values that are each fine but do not go together."""
        return iter(())

    @model_validator(mode="after")
    def _refuse_conflicts(self) -> Section:
        found = list(self.conflicts())
        if found:
            text = "; ".join(f"{key}: {message}" if key else message for key, message in found)
            raise PydanticCustomError(OURS, text, {"conflicts": found})
        return self


def setting(
    default: Any, description: str, *, unit: str | None = None, role: str | None = None, **bounds: Any
) -> Any:
    """Declare a field: its default (`...` if it must be given), what it means, its unit, its bounds.

    A section is given as a class, or a function, that makes it. `role`: of the hyperparameter that
    starts from this number, as in `svgp.parameters`; `roles_of` finds it.
    """
    if callable(default):
        return Field(default_factory=default, description=description)
    extra: dict[str, Any] = {key: word for key, word in (("unit", unit), ("role", role)) if word}
    return Field(default, description=description, json_schema_extra=extra or None, **bounds)


def roles_of(section: type[Section]) -> set[str]:
    """The roles of the hyperparameters that a section has."""
    extras = (field.json_schema_extra for field in section.model_fields.values())
    return {str(extra["role"]) for extra in extras if isinstance(extra, dict) and "role" in extra}


def refusal(message: str) -> PydanticCustomError:
    """The error that a validator of a single value raises; `message` is shown as it is."""
    return PydanticCustomError(OURS, message)


def _integral(value: Any) -> Any:
    # 1e5 is a float to YAML, and a perfectly good number of rows to a person.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _absolute(value: Any) -> Any:
    if not isinstance(value, (str, Path)):
        return value
    text = str(value)
    if not text.strip() or "\0" in text:
        raise refusal(f"expected a path, got {text!r}")
    if "://" in text:
        raise refusal(f"expected a path on this machine, got {text!r}; download the file first")
    # Symbolic links stay as they are written: a link to the newest data keeps its meaning.
    return Path(os.path.abspath(os.path.expanduser(text)))


def _table(value: Any) -> Any:
    if is_remote(value):
        return table_path(value)
    if "://" in str(value):
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise refusal(
            f"expected a path on this machine, got {str(value)!r}; download the file first, or give a URI of "
            f"{known}"
        )
    found = _absolute(value)
    if not isinstance(found, Path):
        raise refusal(f"expected a path, got {value!r}")
    return found


Text = Annotated[str, StringConstraints(min_length=1)]
Names = Annotated[list[Text], BeforeValidator(_as_list, json_schema_input_type=str | list[str])]
WholeNumber = Annotated[int, BeforeValidator(_integral)]
# The table may lie in an object store: a svgp.remote.RemotePath, which has what readers ask of a Path.
TablePath = Annotated[
    Path,
    PlainValidator(_table, json_schema_input_type=str),
    PlainSerializer(str, return_type=str),
]
AbsolutePath = Annotated[Path, Strict(False), BeforeValidator(_absolute, json_schema_input_type=str)]


def repeated(names: list[str]) -> list[str]:
    """The names that occur more than once, each one time."""
    return sorted({name for name in names if names.count(name) > 1})


def quoted(names: list[str]) -> str:
    """Names for a message: `'a', 'b' and 'c'`."""
    shown = [f"'{name}'" for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
