"""The path of a step is the faster one here, kept for the next start, and fixed where that is asked for."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from svgp.linalg import paths
from svgp.linalg.backend import use_host
from svgp.linalg.paths import FIXED, NEVER, Paths


@pytest.fixture(autouse=True)
def fixed_again(monkeypatch):
    monkeypatch.delenv(paths.SETTING, raising=False)
    yield
    paths.take(FIXED)


def machine(crossing):
    """Seconds of a machine on which the host wins from `crossing[dtype]` points on."""
    return lambda name, dtype, size: 1.0 if (name == "host") == (size >= crossing[dtype.name]) else 2.0


@pytest.mark.parametrize(
    ("crossing", "chosen"), [(1, 256), (256, 256), (300, 512), (512, 512), (600, 1024), (5000, NEVER)]
)
def test_the_faster_path_is_chosen(crossing, chosen):
    found = paths.measure(machine({"float64": crossing, "float32": 5000}))
    assert (found.float64, found.float32, found.source) == (chosen, NEVER, "measured")


def test_a_measurement_is_kept_and_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "measure", lambda: Paths(512, NEVER, "measured"))
    assert paths.tune(tmp_path) == Paths(512, NEVER, "measured")
    monkeypatch.setattr(paths, "measure", lambda: pytest.fail("measured twice"))
    assert paths.tune(tmp_path).float64 == 512
    assert not use_host(tf.zeros([1]), size=4096) and use_host(tf.zeros([1], tf.float64), size=512)
    (file,) = tmp_path.iterdir()
    file.write_text("{")  # damaged: measured again
    monkeypatch.setattr(paths, "measure", lambda: Paths(256, 256, "measured"))
    assert paths.tune(tmp_path).float32 == 256
    assert json.loads(file.read_text())["float32"] == 256


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(paths, "measure", lambda: Paths(512, 512, "measured"))
    assert paths.tune(tmp_path / "file" / "below").float64 == 512


def test_the_setting_keeps_what_is_fixed(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.SETTING, "fixed")
    monkeypatch.setattr(paths, "measure", lambda: pytest.fail("measured all the same"))
    paths.take(Paths(NEVER, NEVER, "given"))
    assert paths.tune(tmp_path) == FIXED == paths.current()


def test_a_step_can_be_timed_either_way():
    assert all(paths.step_seconds(name, tf.float64, 40) > 0.0 for name in ("host", "tensorflow"))


def test_a_user_without_a_home_has_a_cache_folder(monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(paths.Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert paths.cache_folder().name.startswith("svgp-")


def test_what_is_timed_holds_no_number_that_a_processor_is_slow_with():
    for dtype in (tf.float64, tf.float32):
        step, operands = paths._step("host", dtype, 256)
        for operand in operands:
            sizes = tf.abs(operand).numpy()
            assert not ((sizes > 0) & (sizes < 1e-9)).any()  # products of three are far from float32's 1e-38
        assert step(*operands).dtype == dtype
    paths._step.cache_clear()
