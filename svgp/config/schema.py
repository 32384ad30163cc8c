"""Reading the schema: what a place in the config may hold, and where a misplaced key belongs."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import Tag
from pydantic.fields import FieldInfo

from svgp.config.base import Section
from svgp.config.registry import Registry

Location = Sequence[
    str | int
]  # pydantic's: keys, list indices, and tags such as '<sum>' for a union's choice


@dataclass(frozen=True)
class Alternative:
    """One of the types that a value may have: its bounds, and its tag if it is part of a tagged union."""

    type: Any
    bounds: tuple[Any, ...] = ()
    tag: str = ""

    @property
    def section(self) -> type[Section] | None:
        # To Python 3.10 list[str] is a type as well, though no class.
        is_class = isinstance(self.type, type) and get_origin(self.type) is None
        return self.type if is_class and issubclass(self.type, Section) else None


def fields_of(section: type[Section]) -> dict[str, FieldInfo]:
    """The fields, with the annotations of recursive sections resolved."""
    section.model_rebuild()
    return section.model_fields


def is_tag(element: str | int) -> bool:
    return isinstance(element, str) and element.startswith("<") and element.endswith(">")


def alternatives(annotation: Any, bounds: Iterable[Any] = (), tag: str = "") -> list[Alternative]:
    """A type annotation, taken apart: `Annotated[int, ge] | None` has two alternatives."""
    bounds = tuple(bounds)
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        tag = next((item.tag for item in metadata if isinstance(item, Tag)), tag)
        flat = (
            part for item in metadata for part in (item.metadata if isinstance(item, FieldInfo) else [item])
        )
        return alternatives(inner, (*bounds, *flat), tag)
    registry = next((bound for bound in bounds if isinstance(bound, Registry)), None)
    if registry is not None:  # the annotation beside it is what all of its sections have in common
        words = sorted(registry, key=lambda word: word != registry.default)  # the usual one comes first
        return [Alternative(registry[word], tag=f"<{word}>") for word in words]
    if origin is Union or origin is types.UnionType:
        return [found for part in get_args(annotation) for found in alternatives(part, bounds, tag)]
    return [Alternative(annotation, bounds, tag)]


@dataclass(frozen=True)
class Slot:
    """What one location of the config may hold: its field, and the alternatives."""

    field: FieldInfo | None
    allowed: list[Alternative]
    siblings: list[Alternative]  # before a tag chose among them

    @property
    def unit(self) -> str:
        extra = self.field.json_schema_extra if self.field else None
        return str(extra.get("unit", "")) if isinstance(extra, dict) else ""


def slot_at(root: type[Section], location: Location) -> Slot | None:
    """The slot at pydantic's location; None where the schema has no such key."""
    allowed = [Alternative(root)]
    siblings = allowed
    field = None
    for element in location:
        if is_tag(element):
            siblings, allowed = allowed, [found for found in allowed if found.tag == element]
            continue
        if isinstance(element, int):
            items = [found.type for found in allowed if get_origin(found.type) is list]
            allowed = [part for item in items for part in alternatives(get_args(item)[0])]
        elif values := [get_args(found.type)[1] for found in allowed if get_origin(found.type) is dict]:
            field = None  # a name of the user's own
            allowed = [part for value in values for part in alternatives(value)]
        else:
            fields = [fields_of(found.section) for found in allowed if found.section]
            field = next((known[element] for known in fields if element in known), None)
            allowed = alternatives(field.annotation, field.metadata) if field else []
        siblings = allowed
        if not allowed:
            return None
    return Slot(field, allowed, siblings)


def homes(
    section: type[Section], keys: tuple[str, ...] = (), seen: frozenset[Any] = frozenset()
) -> Iterator[tuple[str, str]]:
    """Every (key, dotted name of the section that has it)."""
    for key, field in section.model_fields.items():
        yield key, ".".join(keys)
        for found in alternatives(field.annotation, field.metadata):
            if found.section and found.section not in seen:
                yield from homes(found.section, (*keys, key), seen | {section})


def path_keys(section: type[Section], keys: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """The keys of all paths (paths stand in sections that are no union)."""
    found = set()
    for key, field in section.model_fields.items():
        for choice in alternatives(field.annotation, field.metadata):
            if choice.type is Path:
                found.add((*keys, key))
            elif choice.section and not choice.tag:
                found |= path_keys(choice.section, (*keys, key))
    return found


def choices(allowed: Iterable[Alternative]) -> list[str]:
    """The words of all literal types among the alternatives."""
    return [word for found in allowed if get_origin(found.type) is Literal for word in get_args(found.type)]
