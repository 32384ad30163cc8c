"""Nodes to a Config, or to every problem at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, TypeVar

from pydantic import ValidationError

from svgp.config import wording
from svgp.config.base import OURS, Section
from svgp.config.nodes import Node, Problem, descend, plain, with_absolute_paths
from svgp.config.registry import Registry
from svgp.config.schema import Alternative, Location, homes, is_tag, path_keys, slot_at
from svgp.errors import ConfigError

SectionType = TypeVar("SectionType", bound=Section)

_SHOWN = 3  # places where a key would be at home


def validate(schema: type[SectionType], root: Node, problems: Iterable[Problem] = ()) -> SectionType:
    """The validated section. Raises ConfigError with `problems` and everything that validation finds."""
    found = list(problems)
    if not isinstance(root.content, dict):
        given = "nothing: the config is empty" if root.content is None else wording.got(root.content)
        found.append(Problem(root.place, "", f"expected a mapping such as {schema.example}, got {given}"))
        raise config_error(found)
    root = with_absolute_paths(root, path_keys(schema))
    root = _spelled_out(schema, root, found)
    try:
        section = schema.model_validate(plain(root))
    except ValidationError as error:
        told = {(problem.key, problem.message) for problem in found}
        for details in error.errors(include_url=False):
            found += [p for p in _problems(schema, root, details) if (p.key, p.message) not in told]
        raise config_error(found) from None
    if found:
        raise config_error(found)
    return section


def _spelled_out(section: type[Section], node: Node, problems: list[Problem], keys: str = "") -> Node:
    """Short forms in full, wherever the schema has a table of sections that knows some."""
    if not isinstance(node.content, dict):
        return node
    content = dict(node.content)
    for key, child in node.content.items():
        field = section.model_fields.get(key)
        registry = (
            next((item for item in field.metadata if isinstance(item, Registry)), None) if field else None
        )
        dotted = f"{keys}.{key}".lstrip(".")
        if field is not None and registry is not None and registry.spelled_out is not None:
            own: list[Problem] = []
            content[key] = replace(registry.spelled_out(child, own), key=child.key)
            problems += [replace(problem, key=problem.key or dotted) for problem in own]
        elif (
            field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        ):
            content[key] = _spelled_out(field.annotation, child, problems, dotted)
    return replace(node, content=content)


def config_error(problems: Iterable[Problem]) -> ConfigError:
    """One error with all problems in the order of the text."""
    ordered = sorted(problems, key=lambda found: (found.place.rank, found.place.line, found.place.column))
    return ConfigError(list(dict.fromkeys(str(problem) for problem in ordered)))


def _problems(schema: type[Section], root: Node, details: Any) -> list[Problem]:
    location, kind = details["loc"], details["type"]
    keys = [element for element in location if not is_tag(element)]
    if kind == OURS and "conflicts" in details.get("ctx", {}):
        pairs = details["ctx"]["conflicts"]
        return [
            _problem(root, [*keys, *(_index(part) for part in key.split(".") if part)], message)
            for key, message in pairs
        ]
    if kind == OURS:
        return [_problem(root, keys, details["msg"], at_value=True)]
    if kind == "extra_forbidden":
        return [_problem(root, keys, _unknown_key(schema, location))]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return [_wrong_choice(root, keys, details, schema, location)]
    slot = slot_at(schema, location)
    if slot is None and location:  # of a union without tags pydantic names the alternative last: one message
        slot, keys = slot_at(schema, location[:-1]), [e for e in location[:-1] if not is_tag(e)]
    if slot is None:  # no error of this schema ends here; say what pydantic says rather than nothing
        return [_problem(root, keys, details["msg"], at_value=True)]
    if kind == "missing":
        return [_problem(root, keys, f"missing; expected {wording.expected(slot)}")]
    value = _given(root, keys, details["input"])
    message = f"expected {wording.expected(slot)}, got {wording.got(value)}{wording.hint(slot, value)}"
    return [_problem(root, keys, message, at_value=True)]


def _index(part: str) -> str | int:
    return int(part) if part.isdigit() else part


def _problem(root: Node, keys: list[str | int], message: str, *, at_value: bool = False) -> Problem:
    node = descend(root, keys)
    place = node.place if at_value or node.key is None else node.key
    return Problem(place, ".".join(str(key) for key in keys), message)


def _given(root: Node, keys: list[str | int], otherwise: Any) -> Any:
    # Validators may have changed the value before it failed; the user knows what was written.
    parent, node = descend(root, keys[:-1]), descend(root, keys)
    return otherwise if node is parent else plain(node)


def _wrong_choice(
    root: Node, keys: list[str | int], details: Any, schema: type[Section], location: Location
) -> Problem:
    slot = slot_at(schema, location)
    if details["type"] == "union_tag_not_found" and slot is not None:
        example = slot.allowed[0].section
        shown = example.example if example else "{...}"
        given = wording.got(_given(root, keys, details["input"]))
        return _problem(root, keys, f"expected a mapping such as {shown}, got {given}", at_value=True)
    # A section without a type (a sum) is chosen by its key.
    named = (
        [f for f in slot.allowed if f.tag and f.section and "type" in f.section.model_fields] if slot else []
    )
    words = [found.tag.strip("<>") for found in named]
    value = _given(root, [*keys, "type"], None)
    near = wording.nearest(value, words) if isinstance(value, str) else None
    meant = f"; did you mean '{near}'?" if near else ""
    message = f"expected {wording.one_of(words)}, got {wording.got(value)}{meant}"
    return _problem(root, [*keys, "type"], message, at_value=True)


def _unknown_key(schema: type[Section], location: Location) -> str:
    *parents, key = location
    slot = slot_at(schema, parents)
    owner = slot.allowed[0].section if slot else None
    if slot is None or owner is None:
        return "unknown key"
    chosen = _choice(slot.allowed[0])
    others = [found for found in slot.siblings if found.section and key in found.section.model_fields]
    if chosen and others:
        shown = [_choice(found) for found in others]
        homes_of_key = " or ".join([*shown[:3], "others"] if len(shown) > 4 else shown)
        return f"unknown key beside {chosen}; it goes with {homes_of_key}"
    near = wording.nearest(str(key), owner.model_fields)
    if near:
        return f"unknown key; did you mean '{near}'?"
    # Kernels hold kernels: of many places the few that lie least deep.
    found = {home for name, home in homes(schema) if name == key}
    elsewhere = sorted(found, key=lambda home: (home.count("."), home))[:_SHOWN]
    if elsewhere:
        return f"unknown key here; it belongs {' or '.join(_home(home) for home in elsewhere)}"
    return f"unknown key; known here: {', '.join(owner.model_fields)}"


def _choice(found: Alternative) -> str:
    word = found.tag.strip("<>")
    if not word or found.section is None:
        return ""
    return f"type: {word}" if "type" in found.section.model_fields else f"'{word}'"


def _home(dotted: str) -> str:
    return f"to '{dotted}'" if dotted else "to the top level"
