"""What the schema promises of itself: descriptions, bounds, units, and a JSON schema that agrees with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from svgp.config import Config, Section, config_schema
from svgp.config.schema import alternatives, homes, path_keys, slot_at

CONFIGS = Path(__file__).parents[2] / "configs"


def fields(section: type[Section], seen: set[Any] | None = None) -> Iterator[tuple[str, Any]]:
    seen = set() if seen is None else seen
    for key, field in section.model_fields.items():
        yield f"{section.__name__}.{key}", field
        for found in alternatives(field.annotation, field.metadata):
            if found.section and found.section not in seen:
                seen.add(found.section)
                yield from fields(found.section, seen)


FIELDS = dict(fields(Config))


@pytest.mark.parametrize("name", FIELDS)
def test_every_field_says_what_it_is(name: str) -> None:
    assert len(FIELDS[name].description) > 3


@pytest.mark.parametrize("name", FIELDS)
def test_every_number_has_bounds_and_a_unit(name: str) -> None:
    field = FIELDS[name]
    choices = alternatives(field.annotation, field.metadata)
    numbers = [found for found in choices if found.type in (int, float)]
    for found in numbers:
        assert any(hasattr(bound, "gt") or hasattr(bound, "ge") for bound in found.bounds)
    if numbers:
        assert field.json_schema_extra["unit"]


def test_every_section_has_a_docstring_and_an_example() -> None:
    sections = {Config} | {
        found.section
        for field in FIELDS.values()
        for found in alternatives(field.annotation, field.metadata)
        if found.section
    }
    for section in sections:
        assert section.__doc__ and not section.__doc__.startswith("Usage")
        assert section.example != Section.example


def test_paths_are_found_in_the_schema() -> None:
    assert path_keys(Config) == {
        ("data", "path"), ("data", "test", "path"), ("model", "inducing", "path"),
        ("model", "start_from"), ("output", "dir"),
    }  # fmt: skip


def test_places_are_found_through_unions_and_lists() -> None:
    slot = slot_at(Config, ("model", "kernel", "<sum>", "sum", 3, "<matern32>", "variance"))
    assert slot is not None and {found.type for found in slot.allowed} == {float, type(None)}
    assert slot_at(Config, ("model", "nothing", "here")) is None
    assert ("learning_rate", "train") in set(homes(Config))


def test_the_skeleton_of_the_config_is_fixed() -> None:
    """Names that users' files rely on: changing one needs a new schema_version."""
    assert list(Config.model_fields) == ["schema_version", "name", "data", "model", "train", "output"]
    names = {name.split(".")[1] for name in FIELDS}
    assert {
        "path", "target", "inputs", "categorical", "test", "standardize", "missing", "kernel",
        "likelihood", "mean",
        "inducing", "posterior", "bound", "method", "batch_size", "max_epochs", "max_seconds",
        "learning_rate",
        "evaluate_every", "checkpoint_every", "seed", "precision", "device", "dir",
    } <= names  # fmt: skip


def test_defaults() -> None:
    config = Config.from_dict({"data": {"dataset": "curve"}})
    assert config.model.inducing.count == "auto" and config.model.inducing.init == "kmeans"
    assert config.train.learning_rate is None and config.train.max_epochs is None
    assert config.data.test is not None and config.data.test.fraction == 0.1
    assert config.model.likelihood.task == "regression"


def test_json_schema_agrees_with_the_validator(folder: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = config_schema()
    json.dumps(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    good: list[dict[str, Any]] = [
        {"data": {"dataset": "curve"}},
        {"extends": "base.yaml"},
        {"data": {"dataset": {"name": "robot_arm", "rows": 10}, "test": None}},
        {"data": {"path": "a.csv", "target": ["a", "b"], "inputs": None}},
        {
            "data": {"path": "a", "target": "y"},
            "model": {"kernel": {"sum": [{}, {"product": [{"type": "white"}]}]}},
        },
        {"data": {"path": "a", "target": "y"}, "model": {"likelihood": {"type": "student_t", "df": 3}}},
        {"data": {"path": "a", "target": "y"}, "model": {"likelihood": {}}},
    ]
    bad: list[dict[str, Any]] = [
        {},
        {"data": {"dataset": "nope"}},
        {"data": {"dataset": "curve"}, "train": {"sed": 1}},
        {"data": {"dataset": "curve"}, "model": {"kernel": {"type": "rbf"}}},
        {"data": {"dataset": "curve"}, "model": {"inducing": {"count": 0}}},
    ]
    for values in good:
        assert not list(validator.iter_errors(values)), values
    for values in bad:
        assert list(validator.iter_errors(values)), values
    resolved = Config.from_dict(good[0]).to_dict()
    assert not list(validator.iter_errors(resolved))
