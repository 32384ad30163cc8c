"""From a file, the files that it extends, and overrides, to a Config."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from svgp.config.merge import merged
from svgp.config.nodes import Node, Place, Problem
from svgp.config.overrides import overridden
from svgp.config.reader import Reader
from svgp.config.tree import Config
from svgp.config.validation import config_error, validate

MAX_BYTES = 1_000_000


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """Read and validate a YAML config.

    `extends: base.yaml` in a file takes what the file does not state from another one; each of
    `overrides` (`train.seed=3`, `model.kernel.sum.0.type=linear`, `data.target=[a, b]`) is laid
    over the result. Paths in a file start from that file's folder, paths in an override from the
    working directory.

    Raises ConfigError with all problems, `file:line:column: dotted.key: what is wrong`.
    """
    chain = _Chain()
    root = chain.tree(os.fspath(path), said_at=None)
    problems = chain.problems
    if root is None or chain.broken:
        raise config_error(problems)
    root = overridden(root, overrides, problems)
    return validate(Config, root, problems)


class _Chain:
    """Follows `extends` from file to file."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.broken = False  # a file of the chain is missing or unreadable: what is there is not the whole
        self._visited: list[str] = []

    def tree(self, path: str, said_at: Place | None) -> Node | None:
        """The file's nodes laid over those of the file that it extends."""
        name = path if "\0" in path else os.path.realpath(path)
        if name in self._visited:
            self._fail(said_at or Place(path), f"'{path}' is in its own chain of extends")
            return None
        rank = len(self._visited)
        self._visited.append(name)
        root = self._read(path, rank, said_at)
        if root is None or "extends" not in root.mapping:
            return root
        extends = root.mapping["extends"]
        own = replace(root, content={key: node for key, node in root.mapping.items() if key != "extends"})
        base = self._base(path, extends)
        return own if base is None else merged(base, own, self.problems)

    def _base(self, path: str, extends: Node) -> Node | None:
        if not isinstance(extends.content, str) or not extends.content:
            self._fail(extends.place, "expected the path of one config file, such as base.yaml")
            return None
        target = os.path.join(os.path.dirname(path), os.path.expanduser(extends.content))
        base = self.tree(os.path.normpath(target), said_at=extends.place)
        if base is not None and not isinstance(base.content, dict):
            self._fail(base.place, "expected a mapping: this file is extended by another config")
            return None
        return base

    def _fail(self, place: Place, message: str) -> None:
        self.problems.append(Problem(place, "extends", message))
        self.broken = True

    def _read(self, path: str, rank: int, said_at: Place | None) -> Node | None:
        text, why = _text(path)
        if text is None:
            where = Place(path, rank=rank) if said_at is None else said_at
            what = why if said_at is None else f"'{path}': {why}"
            self.problems.append(Problem(where, "" if said_at is None else "extends", what))
            self.broken = True
            return None
        start = Place(path, 1, 1, os.path.dirname(os.path.abspath(path)), rank)

        def place_of(mark: Any) -> Place:
            return start if mark is None else replace(start, line=mark.line + 1, column=mark.column + 1)

        reader = Reader(text, place_of)
        root = reader.read()
        self.problems += reader.problems
        if root is None and reader.problems:
            self.broken = True
            return None
        return root or Node(None, start)


def _text(path: str) -> tuple[str | None, str]:
    """The text of a file, or None and why not."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None, "no such file"
    except IsADirectoryError:
        return None, "is a folder; expected a config file"
    except (OSError, ValueError) as error:
        return None, f"cannot be read ({getattr(error, 'strerror', None) or error})"
    if len(data) > MAX_BYTES:
        return None, f"larger than {MAX_BYTES:,} bytes; is this a config, or the data itself?"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return None, f"not UTF-8 text (line {line}); save it as UTF-8"
