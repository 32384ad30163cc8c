from __future__ import annotations

import shutil

import pytest

from svgp.runs import list_runs


@pytest.fixture
def shelf(regression, tmp_path):
    for name in ("a", "b", "c"):
        shutil.copytree(regression.path, tmp_path / "regression" / name)
    (tmp_path / "regression" / "b" / "metrics.json").unlink()
    status = tmp_path / "regression" / "b" / "status.json"
    # No process has this number: one that was killed could not say so itself.
    status.write_text(
        status.read_text().replace('"finished"', '"running"').replace('"pid": ', '"pid": 99999')
    )
    (tmp_path / "regression" / "c" / "status.json").write_text("{torn")
    (tmp_path / "configs").mkdir()
    shutil.copy(regression.path / "config.yaml", tmp_path / "configs")  # a config is no run
    return tmp_path


def test_rows(shelf, regression):
    rows = {row["path"].rsplit("/", 1)[-1]: row for row in list_runs(shelf)}
    assert set(rows) == {"a", "b", "c"}
    assert rows["a"]["status"] == "finished" and rows["a"]["name"] == "regression"
    assert rows["a"]["test.rmse"] == regression.metrics["test.rmse"] and rows["a"]["steps"] == 9
    assert rows["b"]["status"] == "interrupted" and rows["b"]["steps"] == 9
    assert rows["b"]["train.elbo"] == regression.history()[-1]["elbo"]
    assert rows["c"]["status"] == "failed" and "damaged" in rows["c"]["message"]


def test_a_folder_that_is_not_there_has_no_runs(tmp_path):
    assert list_runs(tmp_path / "nothing") == []
