"""doctor: versions, a device, and a self-test that can fail."""

from __future__ import annotations

import tensorflow as tf

from svgp.runs import self_test


def test_doctor_finds_this_machine_well(svgp):
    ended = svgp("doctor")
    assert ended.code == 0, ended.out
    assert f"tensorflow              {tf.__version__}" in ended.out
    assert ended.out.count("ok  ") == 2 and "FAIL" not in ended.out


def test_doctor_notices_a_wrong_gradient(svgp, monkeypatch):
    def wrong(K: tf.Tensor) -> tf.Tensor:
        return 1.001 * tf.linalg.logdet(K) - tf.stop_gradient(0.001 * tf.linalg.logdet(K))

    monkeypatch.setattr(self_test, "logdet", wrong)
    monkeypatch.setattr(self_test, "_fit", lambda: (True, "not tried"))
    ended = svgp("doctor")
    assert ended.code == 1 and "FAIL  gradient of log|K|" in ended.out
