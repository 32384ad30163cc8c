"""`svgp init`: the config it writes validates, for any table."""

from __future__ import annotations

from pathlib import Path

import pytest

from svgp.config import Config, load_config, template_for_table
from svgp.config.template import folder_name

from .test_round_trip import AWKWARD


def loaded(folder: Path, text: str) -> Config:
    (folder / "c.yaml").write_text(text, encoding="utf-8")
    return load_config("c.yaml")


def test_columns_by_kind(folder: Path) -> None:
    columns = [("rooms", "number"), ("town", "category"), ("sold", "other"), ("price", "number")]
    text = template_for_table("data/houses.csv", "price", columns, rows=4000, missing=3)  # type: ignore[arg-type]
    config = loaded(folder, text)
    assert config.name == "houses"
    assert config.data.path == folder / "data/houses.csv"
    assert config.data.target == ["price"]
    assert config.data.inputs == ["rooms", "town"]
    assert config.data.categorical == ["town"]
    assert config.data.missing == "drop"
    assert "# - sold" in text and "(3 here)" in text


def test_how_things_are_read_is_stated(folder: Path) -> None:
    columns = [("when", "date"), ("rate", "number"), ("id", "other"), ("town", "category")]
    text = template_for_table(
        "a.csv", "y", columns, missing=7, policy="indicator",  # type: ignore[arg-type]
        why={"id": "a row number", "when": "dates", "town": "3 levels"},
        settings={"when": {"type": "date"}, "rate": {"unit": "percent"}},
        format={"delimiter": ";", "decimal": ","},
    )  # fmt: skip
    config = loaded(folder, text)
    assert (config.data.format.delimiter, config.data.format.decimal) == (";", ",")
    assert config.data.columns["when"].type == "date" and config.data.columns["rate"].unit == "percent"
    assert config.data.missing == "indicator" and "(7 here)" in text
    assert "a row number" in text and "3 levels" in text


def test_all_columns_usable_leaves_inputs_to_the_table(folder: Path) -> None:
    config = loaded(folder, template_for_table("a.csv", ["y", "z"], [("x", "number"), ("z", "number")]))
    assert config.data.inputs is None and config.data.categorical == []
    assert config.data.target == ["y", "z"] and config.data.missing == "error"


@pytest.mark.parametrize("likelihood", ["gaussian", "student_t", "bernoulli", "poisson"])
@pytest.mark.parametrize("rows", [None, 1, 30, 569, 40_000, 10**8])
def test_every_likelihood_and_size(folder: Path, likelihood, rows) -> None:
    config = loaded(folder, template_for_table("a.csv", "y", [], likelihood=likelihood, rows=rows))
    assert config.model.likelihood.type == likelihood
    assert rows is None or config.model.inducing.count == "auto"


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_names(folder: Path, name: str) -> None:
    columns = [(name, "category"), ("d", "other")]
    config = loaded(folder, template_for_table("a #1.csv", f"{name}y", columns, rows=10))  # type: ignore[arg-type]
    assert config.data.target == [f"{name}y"]
    assert config.data.inputs == config.data.categorical == [name]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("My table.csv.gz", "My-table"),
        ("/x/y.parquet", "y"),
        (".hidden", "run"),
        ("a/..", "run"),
        ("???.csv", "run"),
    ],
)
def test_run_names_are_folder_names(path: str, name: str) -> None:
    assert folder_name(path) == name


def test_lines_are_short_and_aligned() -> None:
    text = template_for_table("houses.csv", "price", [("rooms", "number"), ("sold", "other")], rows=500)
    assert "\t" not in text
    assert max(len(line) for line in text.splitlines()) <= 110


def test_unknown_kinds_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown kinds of columns"):
        template_for_table("a.csv", "y", [("x", "float")])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="unknown likelihood"):
        template_for_table("a.csv", "y", [], likelihood="normal")  # type: ignore[arg-type]
