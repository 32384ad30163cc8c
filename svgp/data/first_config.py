"""From a table to a first config: what `svgp init` writes and says."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from svgp.config import Config, DataConfig, template_for_table
from svgp.config.nodes import Problem, from_python
from svgp.config.overrides import overridden
from svgp.config.validation import config_error, validate
from svgp.data.layout import TableFormat
from svgp.data.names import counted, listed
from svgp.data.readings import Wish
from svgp.data.sniff import Sniffed, sniff_table
from svgp.data.sources import read_table
from svgp.errors import ConfigError

_SHOWN = 12  # columns left out, said at once; the config has them all
_STATED = ("data.format.", "data.columns.")


def first_config(
    path: str | Path, targets: Sequence[str], config: str | Path, overrides: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """The text of a commented config for the table at `path`, and what was decided, a line each.

    config: where the text will be written. overrides: `data.format.KEY=VALUE`, `data.columns.NAME.KEY=VALUE`.
    The config trains as it is. Raises DataError where the table cannot be read or its target not predicted,
    ConfigError for a wrong override.
    """
    data = _stated(path, targets, overrides)
    stated = {name: column.model_dump() for name, column in data.columns.items()}
    format = TableFormat(**data.format.model_dump())
    wishes = {name: Wish.of(settings) for name, settings in stated.items()}
    text = [name for name, wish in wishes.items() if wish.needs_text]
    found = sniff_table(read_table(path, text=text, format=format), targets, wishes=wishes, format=format)
    used = {name for name, kind in found.columns if kind != "other"} | set(targets)
    settings = {
        name: {**found.settings.get(name, {}), **_given(stated.get(name, {}))}
        for name in (*targets, *(name for name, _ in found.columns))
        if name in used and (name in found.settings or _given(stated.get(name, {})))
    }
    written = template_for_table(
        os.path.relpath(path, Path(config).parent), targets, found.columns, likelihood=found.likelihood,
        transform=found.transform, rows=found.rows, missing=found.missing, policy=found.policy,
        why=found.why, settings=settings,
        format={**_format_settings(found), **_given(data.format.model_dump())}, file=str(config),
    )  # fmt: skip
    return written, list(_told(found, targets))


def _stated(path: str | Path, targets: Sequence[str], overrides: Sequence[str]) -> DataConfig:
    for override in overrides:
        if not override.startswith(_STATED):
            raise ConfigError(
                f"override '{override}': init takes {_STATED[0]}KEY=VALUE and {_STATED[1]}NAME.KEY=VALUE;"
                " change the rest in the config that it writes"
            )
    problems: list[Problem] = []
    root = from_python({"data": {"path": os.fspath(path), "target": list(targets)}})
    root = overridden(root, overrides, problems)
    if problems:
        raise config_error(problems)
    return validate(Config, root).data


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value not in (None, [])}


def _format_settings(found: Sniffed) -> dict[str, Any]:
    """What to state of the file: its marks, where they are not what anybody would expect."""
    settings: dict[str, Any] = {}
    if found.delimiter not in ("", ","):
        settings["delimiter"] = found.delimiter
    if found.encoding not in ("", "utf-8"):
        settings["encoding"] = found.encoding
    if found.decimal:
        settings["decimal"] = found.decimal
    return settings


def _told(found: Sniffed, targets: Sequence[str]) -> list[str]:
    shown = f"target {', '.join(targets)}, likelihood {found.likelihood} ({found.likelihood_why})"
    lines = [f"{counted(found.rows, 'row')}, {shown}"]
    if found.transform == "log":
        lines.append("learnt as its logarithm (data.target_transform: none: as it is)")
    if found.layout:
        lines.append(f"read as {found.layout}" + (f", decimal {found.decimal!r}" if found.decimal else ""))
    lines += [found.note] if found.note else []
    parts = []
    for kind in ("number", "date", "category"):
        names = [name for name, of in found.columns if of == kind]
        plural = "categories" if kind == "category" else f"{kind}s"
        noun = kind if len(names) == 1 else plural
        shown = "" if kind == "number" else f" ({listed(names)})"
        parts += [f"{len(names)} {noun}{shown}"] if names else []
    lines.append(f"inputs: {', '.join(parts)}")
    lines += [
        f"'{name}': {', '.join(f'{code:g}' for code in codes)} counts as a missing value (data.columns)"
        for name, codes in found.coded.items()
    ]
    others = [f"left out: '{name}': {found.why[name]}" for name, kind in found.columns if kind == "other"]
    lines += others[:_SHOWN]
    if len(others) > _SHOWN:
        lines.append(f"... and {counted(len(others) - _SHOWN, 'column')} more left out: see data.inputs")
    if found.missing:
        done = "left out" if found.policy == "drop" else "kept: the mean stands in, and an input says where"
        lines.append(f"{counted(found.missing, 'row')} with missing values, {done} (data.missing)")
    return lines
