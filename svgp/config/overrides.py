"""`KEY=VALUE` from the command line: dotted keys, YAML values, list items by number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from svgp.config.merge import laid_over, merged
from svgp.config.nodes import Node, Place, Problem
from svgp.config.reader import Reader

# Overrides are listed after all files, in the order given.
_RANK = 1_000_000


def override_tree(overrides: Iterable[str], problems: list[Problem]) -> Node:
    """All overrides as one tree; malformed ones are added to `problems` and left out."""
    tree = Node({}, Place(rank=_RANK), dotted=True)
    for number, text in enumerate(overrides):
        place = Place(f"override '{text}'", rank=_RANK + number)
        node = _parsed(text, place, problems)
        if node is not None:
            tree = laid_over(tree, node)
    return tree


def overridden(root: Node, overrides: Sequence[str], problems: list[Problem]) -> Node:
    """The file's tree with all overrides laid over it."""
    if not overrides:
        return root
    tree = override_tree(overrides, problems)
    return _without_dots(merged(root, tree, problems)) if tree.content else root


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

    reader = Reader(value, place_of)
    node = reader.read()
    problems += [replace(problem, key=problem.key or key) for problem in reader.problems]
    if node is None:
        if reader.problems:
            return None
        node = Node(None, place)  # KEY= with nothing after it: null
    for part in reversed(parts):
        node = Node({part: replace(node, key=place)}, place, dotted=True)
    return node


def _without_dots(node: Node) -> Node:
    """The same tree for a second round of merging, in which nothing is an override any more."""
    if isinstance(node.content, dict):
        return replace(
            node, dotted=False, content={key: _without_dots(child) for key, child in node.content.items()}
        )
    return node
