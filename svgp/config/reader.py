"""YAML text to nodes, from PyYAML's events: no tags, no duplicate keys, no bombs, and every place kept.

PyYAML's own composer keeps the first error only and forgets which tags were written, so the
nodes are composed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import yaml

from svgp.config.nodes import Node, Place, Problem
from svgp.config.scalars import resolve

MAX_DEPTH = 32
MAX_NODES = 20_000  # after aliases are expanded

PlaceOf = Callable[[Any], Place]


class Unreadable(Exception):
    """Reading cannot go on; the problems found so far are with the reader."""


class Reader:
    """Composes one document and collects what is wrong with it in `problems`."""

    def __init__(self, text: str, place_of: PlaceOf) -> None:
        self.problems: list[Problem] = []
        self._text = text
        self._place_of = place_of
        self._events: Iterator[yaml.Event] = iter(())
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._open_anchors: set[str] = set()
        self._count = 0

    def read(self) -> Node | None:
        """The root node; None when the text is empty or cannot be read (see `problems`)."""
        try:
            self._events = yaml.parse(self._text, Loader=yaml.SafeLoader)
            return self._document()
        except Unreadable:
            return None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self.problems += syntax_problems(error, self._place_of(mark), self._text)
        except yaml.reader.ReaderError as error:
            before = self._text[: error.position]
            line = before.count("\n")
            mark = yaml.Mark("", 0, line, len(before) - before.rfind("\n") - 1, None, 0)
            code = error.character if isinstance(error.character, int) else ord(error.character)
            self._report(mark, f"the character U+{code:04X} cannot stand in YAML; is this a text file?")
        return None

    def _document(self) -> Node | None:
        root = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    self._report(event.start_mark, "a second document begins here; a config is one document")
                    break
                root = self._node(next(self._events), depth=0)
        return root

    def _report(self, mark: Any, message: str, key: str = "") -> None:
        self.problems.append(Problem(self._place_of(mark), key, message))

    def _node(self, event: yaml.Event, depth: int) -> Node:
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        self._grow(1, mark)
        if depth > MAX_DEPTH:
            self._report(mark, f"nested more than {MAX_DEPTH} levels deep")
            raise Unreadable
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._report(
                mark, f"the tag '{shown}' is refused: a config is plain text, numbers, lists and keys"
            )
        before = self._count - 1
        if event.anchor is not None:
            self._open_anchors.add(event.anchor)
        node = self._content(event, depth)
        if event.anchor is not None:
            self._open_anchors.discard(event.anchor)
            self._anchors[event.anchor] = (node, self._count - before)
        return node

    def _content(self, event: yaml.Event, depth: int) -> Node:
        place = self._place_of(event.start_mark)
        if isinstance(event, yaml.ScalarEvent):
            quoted = event.style is not None
            return Node(event.value if quoted else resolve(event.value), place, quoted=quoted)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(event, depth + 1))
            return Node(items, place)
        return Node(self._mapping(depth), place)

    def _mapping(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._node(event, depth + 1)
            value = self._node(next(self._events), depth + 1)
            if key.content == "<<" and not key.quoted:
                merged = {**merged, **self._merge(value)}
            elif not isinstance(key.content, str):
                shown = "a list" if isinstance(key.content, list) else "a mapping"
                if not isinstance(key.content, (list, dict)):
                    shown = getattr(event, "value", "") or "nothing"
                self._report(event.start_mark, f"a key must be text, got {shown}")
            elif key.content in found:
                first = found[key.content].key or key.place
                message = f"duplicate key '{key.content}'; it is first given at line {first.line}"
                self._report(event.start_mark, message)
            else:
                found[key.content] = replace(value, key=key.place)
        return {**merged, **found}

    def _merge(self, value: Node) -> dict[str, Node]:
        """The keys that `<<: *anchor` or `<<: [*one, *other]` brings in; the first of a list wins."""
        sources = value.content if isinstance(value.content, list) else [value]
        merged: dict[str, Node] = {}
        for source in reversed(sources):
            if isinstance(source.content, dict):
                merged.update(source.content)
            else:
                self.problems.append(Problem(source.place, "", "'<<' takes a mapping or a list of mappings"))
        return merged

    def _alias(self, event: yaml.AliasEvent) -> Node:
        if event.anchor in self._open_anchors:
            self._report(event.start_mark, f"the alias '*{event.anchor}' stands inside its own anchor")
            raise Unreadable
        if event.anchor not in self._anchors:
            self._report(
                event.start_mark, f"the alias '*{event.anchor}' has no anchor '&{event.anchor}' above it"
            )
            raise Unreadable
        node, size = self._anchors[event.anchor]
        self._grow(size, event.start_mark)
        return node

    def _grow(self, count: int, mark: Any) -> None:
        self._count += count
        if self._count > MAX_NODES:
            self._report(mark, f"more than {MAX_NODES} values once aliases are expanded; this is no config")
            raise Unreadable


# What PyYAML says, and what a person should do about it.
_HINTS = (
    ("mapping values are not allowed", "check the indentation, and quote a text that contains ': '"),
    ("could not find expected ':'", "expected 'key: value'; check the line above for a missing ':' or quote"),
    ("expected escape sequence", "in double quotes a backslash begins an escape; use single quotes"),
    ("found unknown escape character", "in double quotes a backslash begins an escape; use single quotes"),
    ("cannot start any token", "quote a text that begins with this character"),
    ("expected <block end>", "check the indentation: keys of one mapping start in the same column"),
    ("unexpected end of stream", "a quote or bracket is not closed"),
    ("expected ',' or", "a bracket or brace is not closed, or a comma is missing"),
)


def syntax_problems(error: yaml.MarkedYAMLError, place: Place, text: str) -> list[Problem]:
    """Problems for a text that is not YAML; every line that is indented by a tab is named."""
    said = error.problem or error.context or "not valid YAML"
    if "'\\t'" in said:
        lines = text.splitlines()
        indents = [line[: len(line) - len(line.lstrip())] for line in lines]
        tabbed = [number for number, indent in enumerate(indents, start=1) if "\t" in indent]
        places = [replace(place, line=line, column=indents[line - 1].index("\t") + 1) for line in tabbed]
        return [
            Problem(where, "", "a tab; YAML takes spaces only")
            for where in (places if place.line and tabbed else [place])
        ]
    hint = next((hint for start, hint in _HINTS if start in said), "")
    return [Problem(place, "", f"not valid YAML: {said}" + (f"; {hint}" if hint else ""))]
