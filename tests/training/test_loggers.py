from __future__ import annotations

import pytest

from svgp import files
from svgp.errors import RunError
from svgp.training.loggers import JsonLines


def test_rows_after_the_checkpoint_are_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = JsonLines(path)
    for step in range(4):
        log.write({"step": step, "elbo": float("nan") if step == 2 else step / 3})
    log.close()
    log = JsonLines(path, keep=2)
    log.write({"step": 9})
    log.close()
    assert files.read_json_lines(path) == [{"step": 0, "elbo": 0.0}, {"step": 1, "elbo": 1 / 3}, {"step": 9}]
    assert log.rows == 3


def test_a_torn_last_line_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"st')
    log = JsonLines(path, keep=1)
    log.write({"step": 2})
    log.close()
    assert [row["step"] for row in files.read_json_lines(path)] == [1, 2]


def test_a_log_that_lost_rows_or_is_damaged_does_not_hold_up_a_run(tmp_path):
    path, said = tmp_path / "metrics.jsonl", []
    path.write_text('{"step": 1}\n{"step": 2}')  # torn before its end of line
    log = JsonLines(path, 3, said.append)
    log.write({"step": 4})
    log.close()
    assert [row["step"] for row in files.read_json_lines(path)] == [1, 2, 4] and log.rows == 3
    assert "holds 2 rows where the checkpoint says 3" in said.pop()
    path.write_bytes(b"\xff\xfe\n" + path.read_bytes())
    JsonLines(path, 3, said.append).close()
    assert (tmp_path / "metrics.jsonl.damaged").exists() and "a new log begins" in said.pop()


def test_a_missing_folder_is_our_error(tmp_path):
    with pytest.raises(RunError, match="cannot be written"):
        JsonLines(tmp_path / "no" / "metrics.jsonl")
