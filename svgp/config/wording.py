"""The words of a config error: what was expected, what was given, and what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from svgp.config.scalars import resolve
from svgp.config.schema import Alternative, Slot, choices

# Names that other libraries use for the same things.
SYNONYMS = {
    "rbf": "squared_exponential", "se": "squared_exponential",
    "exponentiated_quadratic": "squared_exponential", "gaussian_kernel": "squared_exponential",
    "exponential": "matern12", "matern": "matern32", "bias": "constant", "normal": "gaussian",
    "studentt": "student_t", "student": "student_t", "t": "student_t", "binary": "bernoulli",
    "binomial": "bernoulli", "classification": "bernoulli", "count": "poisson", "sigmoid": "logit",
    "logistic": "logit", "normcdf": "probit", "k-means": "kmeans", "k_means": "kmeans",
    "lbfgs": "collapsed", "l-bfgs": "collapsed", "natural": "natgrad", "cuda": "gpu",
    "double": "float64", "single": "float32", "diag": "diagonal", "m": "count",
    "num_inducing": "count", "lr": "learning_rate", "epochs": "max_epochs", "steps": "max_steps",
    "y": "target", "x": "inputs", "labels": "target", "features": "inputs", "dof": "df", "nu": "df",
    "noise_variance": "variance", "lengthscale": "lengthscales",
}  # fmt: skip

_NAMES: dict[Any, tuple[str, str]] = {
    bool: ("true or false", "true or false"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
}


def expected(slot: Slot) -> str:
    """`a whole number of at least 1 (points) or null`."""
    parts = [_expected(found) for found in slot.allowed if found.type is not type(None)]
    text = " or ".join(dict.fromkeys(parts))
    if slot.unit and any(_is_number(found.type) for found in slot.allowed):
        text += f" ({slot.unit})"
    return text + (" or null" if any(found.type is type(None) for found in slot.allowed) else "")


def _expected(found: Alternative) -> str:
    if found.section is not None:
        return f"a mapping such as {found.section.example}"
    if get_origin(found.type) is Literal:
        return one_of(get_args(found.type))
    if get_origin(found.type) is dict:
        return "a mapping from names to values"
    if get_origin(found.type) is list:
        (item,) = get_args(found.type)
        kind = next((plural for known, (_, plural) in _NAMES.items() if known in _leaves(item)), "values")
        # A field that takes a list of texts takes a single one as well.
        return f"{_NAMES[str][0]} or a list of texts" if kind == "texts" else f"a list of {kind}"
    return _NAMES.get(found.type, ("a value", ""))[0] + _bounds(found)


def _leaves(annotation: Any) -> list[Any]:
    return [annotation, *(leaf for part in get_args(annotation) for leaf in _leaves(part))]


def _is_number(annotation: Any) -> bool:
    leaves = _leaves(annotation)
    return int in leaves or float in leaves


def _bounds(found: Alternative) -> str:
    words = []
    for item in found.bounds:
        for name, word in (("gt", "above"), ("ge", "of at least"), ("lt", "below"), ("le", "at most")):
            limit = getattr(item, name, None)
            if limit is not None:
                words.append(f"{word} {limit:,}" if abs(limit) >= 10_000 else f"{word} {limit:g}")
        if getattr(item, "min_length", None):
            words.append("that is not empty")
        if getattr(item, "max_length", None):
            words.append(f"at most {item.max_length} characters long")
    return " " + " and ".join(words) if words else ""


def one_of(words: Sequence[str]) -> str:
    """`'a', 'b' or 'c'`."""
    shown = [f"'{word}'" for word in words]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def got(value: Any) -> str:
    """What was given, short enough for one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return _short(str(value))
    if isinstance(value, str):
        return repr(_short(value)) if value else "an empty text"
    if isinstance(value, (list, tuple)):
        return "a list" if value else "an empty list"
    return "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}"


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def hint(slot: Slot, value: Any) -> str:
    """`; did you mean ...?` where a guess is a good one, else nothing."""
    allowed = {found.type for found in slot.allowed}
    words = choices(slot.allowed)
    if isinstance(value, str) and words:
        near = nearest(value, words)
        return f"; did you mean '{near}'?" if near else ""
    if isinstance(value, str) and bool in allowed:
        meant = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
        meant |= {"true": "true without quotes", "false": "false without quotes"}
        return f"; did you mean {meant[value.lower()]}?" if value.lower() in meant else ""
    if isinstance(value, str) and allowed & {int, float}:
        number = resolve(value.strip().replace("_", "").replace(",", ""))
        return f"; did you mean {number}?" if isinstance(number, (int, float)) and value.strip() else ""
    if any(str in _leaves(kind) for kind in allowed) and isinstance(value, (int, float)):
        return f"; quote it: '{got(value)}'"
    return ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    known = list(known)
    lower = word.lower().replace("-", "_").replace(" ", "_")
    if lower in known:
        return lower
    for spelling in (lower, lower.replace("_", ""), lower.replace("_", "-")):
        if SYNONYMS.get(spelling) in known:
            return SYNONYMS[spelling]
    close = difflib.get_close_matches(lower, known, n=1, cutoff=0.66)
    return close[0] if close else None
