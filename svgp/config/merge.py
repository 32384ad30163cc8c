"""Laying one config over another: a child over the file that it extends, overrides over the file.

Mappings merge key by key; anything else is replaced. Three kinds of block need more care, for
what the base says may not go with what the child chooses:

- A kernel, likelihood or prior of another type (or a sum instead of a single kernel), and another
  built-in data set, replace the whole block. An override of the type alone
  (`model.kernel.type=matern52`) keeps the settings that the new type has as well.
- Of two alternatives (`data.path` and `data.dataset`) the child's pushes out the base's.
- Another `inducing.init` drops what belonged to the old one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from svgp.config import means
from svgp.config.kernels import KERNELS
from svgp.config.kernels.base import spelled_out
from svgp.config.likelihoods import LIKELIHOODS
from svgp.config.nodes import OVERRIDES, Node, Problem
from svgp.config.priors import Prior
from svgp.config.schema import alternatives

Keys = tuple[str | int, ...]

_ALTERNATIVES: dict[Keys, tuple[str, str]] = {
    ("data",): ("path", "dataset"),
    ("data", "test"): ("path", "fraction"),
}


def _keys_by_type(union: object) -> dict[str, tuple[str, ...]]:
    parts = (found for part in get_args(get_args(union)[0]) for found in alternatives(part))
    return {found.tag.strip("<>"): tuple(found.section.model_fields) for found in parts if found.section}


_PRIOR_KEYS = _keys_by_type(Prior)


def merged(base: Node, child: Node, problems: list[Problem], keys: Keys = ()) -> Node:
    """`child` laid over `base`. Overrides of list items that do not exist are added to `problems`."""
    base, child = _spelled_out(base, keys, problems), _spelled_out(child, keys, problems)
    if isinstance(base.content, list) and child.dotted:
        return _edited(base, child, problems, keys)
    if not isinstance(base.content, dict) or not isinstance(child.content, dict):
        return child
    content = _compatible(base.content, child, keys)
    for key, value in child.content.items():
        content[key] = merged(content[key], value, problems, (*keys, key)) if key in content else value
    place, key_place = (base.place, base.key) if child.dotted else (child.place, child.key)
    return replace(base, content=content, place=place, key=key_place, dotted=base.dotted and child.dotted)


def _spelled_out(node: Node, keys: Keys, problems: list[Problem]) -> Node:
    if keys == ("model", "mean") and not node.dotted:
        return replace(means.spelled_out(node, problems), key=node.key)
    if _is_kernel(keys) and not node.dotted:
        return replace(spelled_out(node, problems), key=node.key)
    if keys == ("data", "dataset") and isinstance(node.content, str):
        return replace(node, content={"name": replace(node, key=None)})
    return node


def _edited(base: Node, child: Node, problems: list[Problem], keys: Keys) -> Node:
    items = list(base.content) if isinstance(base.content, list) else []
    for key, value in child.mapping.items():
        if key.isdigit() and int(key) < len(items):
            items[int(key)] = merged(items[int(key)], value, problems, (*keys, int(key)))
        else:
            dotted = ".".join(str(part) for part in keys)
            last = f"0 to {len(items) - 1}" if items else "none: it is empty"
            problems.append(
                Problem(value.place, dotted, f"the list has no item '{key}'; its items are {last}")
            )
    return replace(base, content=items)


def _compatible(base: dict[str, Node], child: Node, keys: Keys) -> dict[str, Node]:
    """The keys of the base that still have a meaning under what the child chooses."""
    drop: set[str] = set()
    stated = {key for key, node in child.mapping.items() if node.content is not None}
    for pair in [_ALTERNATIVES[keys]] if keys in _ALTERNATIVES else []:
        drop = {key for key in pair if stated & set(pair) and key not in child.mapping}
    before, after = _choice(base, keys), _choice(child.mapping, keys)
    if after and keys == ("model", "inducing"):
        drop = {"path", "min_separation"} if after != before else set()
    elif after and after != before:
        known = _known_keys(after, keys) if child.dotted else ()
        drop = {key for key in base if key not in known}
    # What an override states is never dropped in silence: validation says if it does not go with a later one.
    return {key: node for key, node in base.items() if key not in drop or node.place.rank >= OVERRIDES}


def _choice(block: dict[str, Node], keys: Keys) -> str:
    """What a block has chosen to be: `sum`, `matern32`, `student_t`, `robot_arm`, ... or nothing."""
    if _is_kernel(keys):
        return KERNELS.shape(block) or _text(block, "type")
    if keys in (("model", "likelihood"), ("model", "mean")) or keys[:2] == ("model", "priors"):
        return _text(block, "type")
    if keys == ("data", "dataset"):
        return _text(block, "name")
    return _text(block, "init") if keys == ("model", "inducing") else ""


def _text(block: dict[str, Node], key: str) -> str:
    content = block[key].content if key in block else ""
    return content if isinstance(content, str) else ""


def _is_kernel(keys: Keys) -> bool:
    return keys[:2] == ("model", "kernel") and (
        len(keys) == 2 or isinstance(keys[-1], int) or keys[-1] == "base"
    )


def _known_keys(choice: str, keys: Keys) -> tuple[str, ...]:
    if _is_kernel(keys):
        # Between a sum and a single kernel nothing carries over.
        return KERNELS.keys(choice)
    if keys == ("model", "mean"):
        return means.MEANS.keys(choice)
    if keys == ("model", "likelihood"):
        return LIKELIHOODS.keys(choice)
    if keys[:2] == ("model", "priors"):
        return _PRIOR_KEYS.get(choice, ())
    return ("name", "rows", "noise", "seed")
