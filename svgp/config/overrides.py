"""`KEY=VALUE` from the command line: dotted keys, YAML values, list items by number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from svgp.config.merge import merged
from svgp.config.nodes import OVERRIDES, Node, Place, Problem
from svgp.config.reader import Reader

_MARKS = (",", "|", "'", "\\t")
_SHOWN = 120  # characters of an override in a message


def overridden(root: Node, overrides: Iterable[str], problems: list[Problem]) -> Node:
    """`root` with the overrides laid over it, one after the other; malformed ones are added to `problems`."""
    for number, text in enumerate(overrides):
        shown = text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
        node = _parsed(text, Place(f"override '{shown}'", rank=OVERRIDES + number), problems)
        if node is not None:
            root = merged(root, node, problems)
    return root


def _parsed(text: str, place: Place, problems: list[Problem]) -> Node | None:
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        problems.append(Problem(place, "", "expected KEY=VALUE, such as train.learning_rate=1e-3"))
        return None
    if parts == ["extends"]:
        problems.append(
            Problem(place, "extends", "can be stated in a file only; name that file as the config")
        )
        return None

    def place_of(mark: Any) -> Place:
        return place

    # A mark by itself, as in data.format.decimal=, is text that YAML would ask to be quoted.
    reader = Reader(f'"{value}"' if value in _MARKS else value, place_of)
    node = reader.read()
    problems += [replace(problem, key=problem.key or key) for problem in reader.problems]
    if node is None:
        if reader.problems:
            return None
        node = Node(None, place)  # KEY= with nothing after it: null
    for part in reversed(parts):
        node = Node({part: replace(node, key=place)}, place, dotted=True)
    return node
