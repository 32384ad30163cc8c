"""A config before it is validated: plain values that remember where they were written."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Union

from svgp.config.scalars import Scalar

Content = Union[Scalar, "dict[str, Node]", "list[Node]"]

# Places of overrides have ranks from here on: their problems are listed after those of all files.
OVERRIDES = 1_000_000


@dataclass(frozen=True)
class Place:
    """Where something was written: a file with line and column, an override, or Python code."""

    source: str = ""
    line: int = 0
    column: int = 0
    folder: str = ""  # relative paths written here start from this folder; "" is the working directory
    rank: int = 0  # problems are listed in the order of (rank, line, column)

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Node:
    """A value, where it was written, and where its key was (None for list items and the root)."""

    content: Content
    place: Place
    key: Place | None = None
    dotted: bool = False  # the mapping that the dots of an override stand for
    quoted: bool = False

    @property
    def mapping(self) -> dict[str, Node]:
        return self.content if isinstance(self.content, dict) else {}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, in which key (if any), and the message."""

    place: Place
    key: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (str(self.place), self.key, self.message) if part)


def plain(node: Node) -> Any:
    """The value without its places."""
    if isinstance(node.content, dict):
        return {key: plain(child) for key, child in node.content.items()}
    if isinstance(node.content, list):
        return [plain(child) for child in node.content]
    return node.content


def from_python(value: Any, place: Place | None = None) -> Node:
    """Nodes for plain Python data; tuples become lists, NumPy numbers and arrays become Python's."""
    place = place or Place()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        content: Any = {str(key): from_python(item, place) for key, item in value.items()}
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        content = [from_python(item, place) for item in value]
    else:
        content = os.fspath(value) if isinstance(value, os.PathLike) else value
    return Node(content, place)


def descend(node: Node, keys: Sequence[str | int]) -> Node:
    """The deepest node along `keys` that exists."""
    for key in keys:
        children: dict[Any, Node] = node.mapping
        if isinstance(node.content, list):
            children = dict(enumerate(node.content))
        if key not in children:
            break
        node = children[key]
    return node


def with_absolute_paths(node: Node, path_keys: set[tuple[str, ...]], keys: tuple[str, ...] = ()) -> Node:
    """Paths made absolute: each starts from the folder of the file, or the override, that states it."""
    if isinstance(node.content, dict):
        content = {
            key: with_absolute_paths(child, path_keys, (*keys, key)) for key, child in node.content.items()
        }
        return replace(node, content=content)
    if keys in path_keys and isinstance(node.content, str) and node.content and "://" not in node.content:
        path = os.path.join(node.place.folder, os.path.expanduser(node.content))
        return replace(node, content=os.path.abspath(path))
    return node
