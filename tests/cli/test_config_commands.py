"""init, check, schema."""

from __future__ import annotations

import json
import re

import pytest

from svgp.config import load_config


def test_init_writes_a_config_that_check_takes(svgp, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = svgp("init", table, "--target", "y", "-o", "sub/first.yaml")
    assert made.code == 0 and "svgp train sub/first.yaml" in made.out
    config = load_config(tmp_path / "sub/first.yaml")
    assert config.data.path == table
    assert (config.data.target, config.data.categorical) == (["y"], ["colour"])
    checked = svgp("check", "sub/first.yaml")
    assert checked.code == 0, checked.err
    assert "54 training rows, 6 test rows, 3 inputs to the model" in checked.out


def test_init_does_not_overwrite(svgp, table, tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("precious", encoding="utf-8")
    ended = svgp("init", table, "--target", "y", "-o", config)
    assert ended.code == 1 and "already exists" in ended.err
    assert config.read_text(encoding="utf-8") == "precious"


def test_init_names_a_target_that_is_not_there(svgp, table, tmp_path):
    ended = svgp("init", table, "--target", "z", "-o", tmp_path / "c.yaml")
    assert ended.code == 1 and "'z' is not there" in ended.err and "x, colour, y" in ended.err
    assert not (tmp_path / "c.yaml").exists()


def test_check_reports_columns_and_what_stands_out(svgp, tmp_path):
    rows = "\n".join(f"{i},{i * 2},7,{i % 5}" for i in range(40))
    (tmp_path / "t.csv").write_text("a,b,c,y\n" + rows + "\n", encoding="utf-8")
    (tmp_path / "c.yaml").write_text("data: {path: t.csv, target: y, test: null}\n", encoding="utf-8")
    ended = svgp("check", tmp_path / "c.yaml", "model.inducing.count=100")
    assert ended.code == 0
    header, a, _, c, y = ended.out.splitlines()[2:7]
    assert header.split() == ["column", "role", "mean", "std", "min", "max"]
    assert a.split() == ["a", "input", "19.5", "11.54", "0", "39"]
    assert c.split()[-1] == "constant" and y.split()[1] == "target"
    assert "- input 'a' rises from row to row like a row number" in ended.out
    assert "- inputs 'a' and 'b' are the same up to scale" in ended.out
    assert "- model.inducing.count: 100 inducing points for 40 rows" in ended.out


def test_check_passes_overrides_on(svgp, tmp_path):
    (tmp_path / "c.yaml").write_text("data: {dataset: curve}\n", encoding="utf-8")
    assert "90 training rows, 10 test rows" in svgp("check", tmp_path / "c.yaml", "data.dataset.rows=100").out
    assert svgp("check", tmp_path / "c.yaml", "data.dataset.rows=-1").code == 1


def test_check_says_how_many_points_a_run_will_choose_and_a_range_of_seconds(svgp, tmp_path):
    """90 rows of a curve with little noise: as `svgp train` would, at most a quarter of the rows."""
    (tmp_path / "c.yaml").write_text("data: {dataset: {name: curve, rows: 100}}\n", encoding="utf-8")
    ended = svgp("check", tmp_path / "c.yaml")
    assert ended.code == 0, ended.err
    chosen = int(re.search(r"^- (\d+) inducing points", ended.out, re.MULTILINE)[1])
    assert 8 <= chosen <= 22 and f"collapsed, {chosen} inducing points, " in ended.out
    least, most = map(int, re.search(r": (\d+) to (\d+) s and", ended.out).groups())
    assert least < most


def test_the_forecast_counts_a_latent_for_each_class(svgp, tmp_path):
    """Ten latents of digits hold ten covariances [M, M]: 12 x 8 bytes x M^2 each, as forecast counts."""
    changes = ["data.dataset=digits", "model.inducing.count=1000", "train.max_steps=1"]
    (tmp_path / "c.yaml").write_text("data: {dataset: curve}\n", encoding="utf-8")
    found = []
    for likelihood in ("softmax", "poisson"):
        ended = svgp("check", tmp_path / "c.yaml", *changes, f"model.likelihood.type={likelihood}")
        assert ended.code == 0, ended.err
        found.append(float(re.search(r"and ([\d.]+) GB", ended.out)[1]))
    assert found[0] - found[1] == pytest.approx(9 * 12 * 8e6 / 1e9, abs=0.11)


def test_schema_is_json_schema(svgp):
    schema = json.loads(svgp("schema").out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert {"data", "model", "train", "output", "name", "extends"} <= set(schema["properties"])
