"""Where training runs: with a GPU that is hidden, shared or missing; here one that is pretended."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from svgp.errors import RunError
from svgp.training.device import choose_device, describe_device, devices_of, precision_advice


@pytest.fixture
def a_gpu(monkeypatch):
    """TensorFlow says that there is a GPU of the compute capability that is put into the dictionary."""
    details, asked = {"device_name": "Some Card", "compute_capability": (8, 9)}, []
    config = tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda kind: ["card"])
    monkeypatch.setattr(config, "set_visible_devices", lambda devices, kind: asked.append((devices, kind)))
    monkeypatch.setattr(config.experimental, "set_memory_growth", lambda card, on: asked.append((card, on)))
    monkeypatch.setattr(config.experimental, "get_device_details", lambda card: details)
    return details, asked


def test_a_processor_run_hides_the_gpu(a_gpu):
    assert choose_device("cpu") == "/CPU:0"
    assert a_gpu[1] == [([], "GPU")]


@pytest.mark.parametrize("wanted", ["auto", "gpu"])
def test_a_gpu_is_taken_and_its_memory_grows(a_gpu, wanted):
    assert choose_device(wanted) == "/GPU:0"
    assert a_gpu[1] == [("card", True)]
    assert describe_device("/GPU:0") == "gpu (Some Card)"


def test_a_gpu_in_use_already_cannot_be_hidden_and_that_is_no_error(a_gpu, monkeypatch):
    def too_late(devices, kind):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "set_visible_devices", too_late)
    assert choose_device("cpu") == "/CPU:0"


def test_all_gpus_share_the_work_where_that_is_asked_for(a_gpu, monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: ["one", "another"])
    assert choose_device("gpus") == "/GPU:0" and devices_of("gpus") == ["GPU:0", "GPU:1"]
    assert devices_of("gpu") == devices_of("auto") == []
    assert describe_device("/GPU:0", 2) == "2 x gpu (Some Card)"


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_no_gpu_where_one_is_asked_for():
    assert choose_device("auto") == "/CPU:0"
    with pytest.raises(RunError, match="nvidia-smi"):
        choose_device("gpu")


def test_slow_float64_is_said_with_a_remedy(a_gpu):
    details, _ = a_gpu
    assert "train.precision=mixed" in (precision_advice("/GPU:0", "float64") or "")
    assert precision_advice("/GPU:0", "mixed") is None and precision_advice("/CPU:0", "float64") is None
    details["compute_capability"] = (9, 0)
    assert precision_advice("/GPU:0", "float64") is None


def test_tf32_is_off_for_whoever_imports_a_part_of_the_library():
    code = (
        "import tensorflow as tf; e = tf.config.experimental; e.enable_tensor_float_32_execution(True); "
        "import svgp; svgp.kernels; assert not e.tensor_float_32_execution_enabled()"
    )
    plain = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    subprocess.run([sys.executable, "-c", code], check=True, env=plain)  # with either Keras
