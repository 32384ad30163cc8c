"""Files that are whole or not there: atomic writes, JSON without NaN, torn lines."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest

from svgp import files
from svgp.errors import RunError

needs_permissions = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may write anywhere"
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_is_replaced_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "file.txt"
    for text in ("first", "zweite Fassung: äöü\n"):
        files.write_text(path, text)
        assert path.read_bytes() == text.encode("utf-8")
    assert names(path.parent) == ["file.txt"]


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    files.write_bytes(tmp_path / "ours", b"")
    with files.new_directory(tmp_path / "folder"):
        pass
    (tmp_path / "plain folder").mkdir()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "folder").stat().st_mode == (tmp_path / "plain folder").stat().st_mode


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_breaks_off_leaves_the_old_file_and_nothing_else(error, tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    files.write_text(path, "old")

    def fail(*arguments):
        raise error

    monkeypatch.setattr(os, "replace", fail)
    expected = RunError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        files.write_text(path, "new")
    assert path.read_text() == "old" and names(tmp_path) == ["file.txt"]
    if expected is RunError:
        message = f"{path}: cannot be written (No space left on device); check the folder's permissions"
        assert str(caught.value).startswith(message)


def test_a_folder_in_the_way_is_an_error_with_its_name(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(RunError, match="taken: cannot be written"):
        files.write_text(tmp_path / "taken", "")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="below: cannot be written"):
        files.write_text(tmp_path / "file" / "below", "")
    with (
        pytest.raises(RunError, match="below: cannot be written"),
        files.new_directory(tmp_path / "file" / "below"),
    ):
        pass


@needs_permissions
def test_no_permission_is_said(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(RunError, match="Permission denied.*check the folder's permissions"):
        files.write_text(locked / "file", "")
    with pytest.raises(RunError, match="Permission denied"), files.new_directory(locked / "folder"):
        pass


def test_no_permission_is_said_whoever_runs_this(tmp_path, monkeypatch):
    def denied(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.tempfile, "mkstemp", denied)
    monkeypatch.setattr(files.tempfile, "mkdtemp", denied)
    for write in (
        lambda: files.write_text(tmp_path / "x", ""),
        lambda: files.new_directory(tmp_path / "x").__enter__(),
    ):
        with pytest.raises(
            RunError, match=r"x: cannot be written \(Permission denied\); check the folder's perm"
        ):
            write()


def test_json_has_null_for_what_is_not_finite(tmp_path):
    row = {
        "nan": float("nan"),
        "array": np.array([1.5, np.inf]),
        "scalar": np.float32("nan"),
        "count": np.int64(3),
        "nested": [{"x": (-np.inf, None, True)}],
        "path": Path("a/b"),
        1: "ü",
    }
    expected = {
        "nan": None,
        "array": [1.5, None],
        "scalar": None,
        "count": 3,
        "nested": [{"x": [None, None, True]}],
        "path": str(Path("a/b")),
        "1": "ü",
    }
    files.write_json(tmp_path / "row.json", row)
    assert files.read_json(tmp_path / "row.json") == expected
    assert "NaN" not in (tmp_path / "row.json").read_text() and (tmp_path / "row.json").read_text().endswith(
        "}\n"
    )
    with (tmp_path / "rows.jsonl").open("w", encoding="utf-8") as file:
        files.append_json_line(file, row)
        assert files.read_json_lines(tmp_path / "rows.jsonl") == [expected]  # flushed


def test_floats_come_back_to_the_last_bit(tmp_path):
    values = np.random.default_rng(0).normal(size=100) * 10.0 ** np.arange(-50, 50)
    files.write_json(tmp_path / "x.json", values)
    np.testing.assert_array_equal(files.read_json(tmp_path / "x.json"), values)


def test_json_that_cannot_be_read_names_its_file(tmp_path):
    with pytest.raises(RunError, match="gone.json: no such file"):
        files.read_json(tmp_path / "gone.json")
    (tmp_path / "torn.json").write_text('{"a": 1')
    with pytest.raises(RunError, match="torn.json: cannot be read as JSON .*the file is damaged"):
        files.read_json(tmp_path / "torn.json")
    with pytest.raises(RunError, match="cannot be read as JSON"):
        files.read_json(tmp_path)


def rows_file(tmp_path, rows):
    path = tmp_path / "rows.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            files.append_json_line(file, row)
    return path


def test_every_torn_last_line_is_left_out(tmp_path):
    rows = [{"step": 1, "name": "é"}, {"step": 2, "name": "漢字 \u2028 \x85 line"}]
    path = rows_file(tmp_path, rows)
    whole = path.read_bytes()
    assert files.read_json_lines(path) == rows
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert files.read_json_lines(path) == rows[:1]
    path.write_bytes(whole[: first + 3] + b"\xe6\xbc")  # half of a character, from another writer
    assert files.read_json_lines(path) == rows[:1]


def test_a_damaged_line_before_the_last_is_an_error(tmp_path):
    path = rows_file(tmp_path, [{"step": 1}, {"step": 2}])
    path.write_bytes(b'{"step"\n' + path.read_bytes())
    with pytest.raises(RunError, match="rows.jsonl:1: not a JSON row; the file is damaged"):
        files.read_json_lines(path)


def test_a_missing_history_has_no_rows(tmp_path):
    assert files.read_json_lines(tmp_path / "rows.jsonl") == []
    with pytest.raises(RunError, match="cannot be read"):
        files.read_json_lines(tmp_path)


def test_a_new_directory_appears_whole(tmp_path):
    path = tmp_path / "runs" / "one"
    with files.new_directory(path) as folder:
        assert folder.parent == path.parent and not path.exists()
        (folder / "sub").mkdir()
        (folder / "sub" / "a").write_text("1")
    assert (path / "sub" / "a").read_text() == "1" and names(path.parent) == ["one"]
    with files.new_directory(path) as folder:
        (folder / "b").write_text("2")
        assert (path / "sub" / "a").exists()  # the old one, until the new one is whole
    assert names(path) == ["b"] and names(path.parent) == ["one"]


@pytest.mark.parametrize("error", [ValueError("inside"), KeyboardInterrupt(), OSError(28, "No space left")])
def test_a_crash_inside_leaves_the_old_directory(error, tmp_path):
    path = tmp_path / "one"
    with files.new_directory(path) as folder:
        (folder / "old").write_text("")
    expected = RunError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected), files.new_directory(path) as folder:
        (folder / "new").write_text("")
        raise error
    assert names(path) == ["old"] and names(tmp_path) == ["one"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_rename_that_fails_puts_the_old_directory_back(failing, tmp_path, monkeypatch):
    path, replace, calls = tmp_path / "one", os.replace, []
    with files.new_directory(path) as folder:
        (folder / "old").write_text("")

    def sometimes(*arguments):
        calls.append(arguments)
        if len(calls) == failing:
            raise OSError(5, "Input/output error")
        replace(*arguments)

    monkeypatch.setattr(os, "replace", sometimes)
    with pytest.raises(RunError, match="Input/output error"), files.new_directory(path) as folder:
        (folder / "new").write_text("")
    assert names(path) == ["old"] and names(tmp_path) == ["one"]


def test_json_text_is_what_is_written(tmp_path):
    files.write_json(tmp_path / "x.json", {"ü": [1]})
    text = files.json_text({"ü": [1]})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == text + "\n"
    assert "ü" in text and json.loads(text) == {"ü": [1]}


def test_what_a_killed_writer_left_is_taken_up(tmp_path):
    """SIGKILL runs no `finally`: the folder that stepped aside may be the only whole one."""
    for content in ("first", "second"):
        aside = Path(tempfile.mkdtemp(prefix=".model.old.", dir=tmp_path)) / "model"
        aside.mkdir()
        (aside / "a").write_text(content)
        Path(tempfile.mkdtemp(prefix=".model.", dir=tmp_path), "a").write_text("half")
        (tmp_path / ".status.json.abcdefgh").write_text("ha")
        (tmp_path / ".notes.abcdefgh").write_text("somebody else's")
        files.take_up(tmp_path, lambda name: name in ("model", "status.json"))
        assert sorted(path.name for path in tmp_path.iterdir()) == [".notes.abcdefgh", "model"]
        assert (tmp_path / "model" / "a").read_text() == "first"  # then there is one, which is newer
