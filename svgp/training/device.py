"""Where training runs, decided once before the model is built."""

from __future__ import annotations

from contextlib import AbstractContextManager

import tensorflow as tf

from svgp.errors import RunError


def choose_device(wanted: str) -> str:
    """The TensorFlow device for `auto`, `cpu` or `gpu`.

    Turns TF32 off: its 10 bits of mantissa are too few to factorise a kernel matrix. Lets the GPU's
    memory grow, so that two runs can share it. Raises RunError where a GPU is asked for and none is seen.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)
    gpus = tf.config.list_physical_devices("GPU") if wanted != "cpu" else []
    if wanted == "gpu" and not gpus:
        raise RunError(
            "train.device: gpu was asked for, but TensorFlow sees none; install the gpu extra (pip install "
            "'svgp[gpu]'), check the driver with nvidia-smi, or set train.device=cpu"
        )
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            break  # the GPU is in use already, by an earlier run of this process: its setting stays
    return "/GPU:0" if gpus else "/CPU:0"


def device_scope(name: str) -> AbstractContextManager[None]:
    """Everything made inside lives on the device `name`, as of `choose_device`."""
    return tf.device(name)


def describe_device(name: str) -> str:
    """What a person calls it: the GPU's name, or `cpu`."""
    if not name.startswith("/GPU"):
        return "cpu"
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return f"gpu ({details.get('device_name', 'unknown model')})"
