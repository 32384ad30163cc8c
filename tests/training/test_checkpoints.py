from __future__ import annotations

import numpy as np
import pytest

from svgp.errors import RunError
from svgp.training import checkpoints
from svgp.training.checkpoints import Checkpoint


@pytest.fixture
def folder(tmp_path):
    for step in (5, 10, 15):
        arrays = {"a/x": np.full(3, step / 3), "step": np.asarray(step)}
        checkpoints.save(tmp_path / "checkpoints", step, Checkpoint(arrays, {"wall_s": step / 7}))
    return tmp_path / "checkpoints"


def test_the_newest_two_are_kept(folder):
    assert [path.name for path in checkpoints.all_of(folder)] == ["step_000000010", "step_000000015"]
    assert sorted(path.name for path in folder.iterdir()) == ["step_000000010", "step_000000015"]


def test_what_was_saved_comes_back_exactly(folder):
    newest = checkpoints.load_newest(folder, warn=pytest.fail)
    np.testing.assert_array_equal(newest.arrays["a/x"], np.full(3, 5.0))
    assert newest.arrays["step"].shape == () and newest.arrays["step"] == 15
    assert newest.values == {"wall_s": 15 / 7}


@pytest.mark.parametrize("file", ["state.safetensors", "state.json"])
@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_damaged_newest_falls_back_with_a_warning(folder, file, harm):
    path = folder / "step_000000015" / file
    data = bytearray(path.read_bytes())
    if harm == "remove":
        path.unlink()
    else:
        path.write_bytes(
            data[: len(data) // 2] if harm == "cut" else bytes([*data[:-9], data[-9] ^ 255, *data[-8:]])
        )
    warnings: list[str] = []
    assert checkpoints.load_newest(folder, warnings.append).arrays["step"] == 10
    assert len(warnings) == 1 and "step_000000015" in warnings[0] and "going back" in warnings[0]


def test_an_unusable_newest_is_passed_over(folder):
    older = checkpoints.load_newest(folder, pytest.fail, usable=lambda c: c.arrays["step"] < 15)
    assert older.arrays["step"] == 10


def test_none_where_there_is_none(tmp_path):
    assert checkpoints.load_newest(tmp_path / "nothing", warn=pytest.fail) is None


def test_an_unwritable_folder_is_our_error(tmp_path):
    (tmp_path / "checkpoints").write_text("a file in the way")
    with pytest.raises(RunError, match="cannot be written"):
        checkpoints.save(tmp_path / "checkpoints", 1, Checkpoint({"step": np.asarray(1)}, {}))
