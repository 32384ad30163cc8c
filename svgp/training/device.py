"""Where training runs, decided once before the model is built."""

from __future__ import annotations

from contextlib import suppress

import tensorflow as tf

from svgp.errors import RunError


def choose_device(wanted: str) -> str:
    """The TensorFlow device for `auto`, `cpu`, `gpu` or `gpus`: of several the first, see `devices_of`.

    `cpu` hides GPUs from the whole process, so that the host's BLAS is used; where TensorFlow has begun to
    use one already, that comes too late and is left. Lets a GPU's memory grow, so that two runs can share it.
    TensorFloat-32 is off (see `svgp.linalg`). Raises RunError where a GPU is asked for and none is seen.
    """
    tf.config.experimental.enable_tensor_float_32_execution(False)
    if wanted == "cpu":
        with suppress(RuntimeError):
            tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.list_physical_devices("GPU") if wanted != "cpu" else []
    if wanted in ("gpu", "gpus") and not gpus:
        raise RunError(
            f"train.device: {wanted} was asked for, but TensorFlow sees no GPU; install the gpu extra (pip "
            "install 'svgp[gpu]'), check the driver with nvidia-smi, or set train.device=cpu"
        )
    for gpu in gpus:
        try:
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:
            break  # the GPU is in use already, by an earlier run of this process: its setting stays
    return "/GPU:0" if gpus else "/CPU:0"


def devices_of(wanted: str) -> list[str]:
    """The devices that share each step, for `svgp.replicas.shared_by`: all GPUs for `gpus`, else none."""
    if wanted != "gpus":
        return []
    return [f"GPU:{number}" for number, _ in enumerate(tf.config.list_logical_devices("GPU"))]


def describe_device(name: str, count: int = 1) -> str:
    """What a person calls it: the GPU's name, or `cpu`; `count` of them where several share the work."""
    if not name.startswith("/GPU"):
        return "cpu"
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    several = f"{count} x " if count > 1 else ""
    return f"{several}gpu ({details.get('device_name', 'unknown model')})"


# Compute capabilities whose float64 rate is half of the float32 one, or all of it: data-centre cards. Every
# other one has a thirty-second or a sixty-fourth (CUDA C++ Programming Guide, arithmetic instructions).
FAST_FLOAT64 = {(6, 0), (7, 0), (8, 0), (9, 0), (10, 0)}


# Times the rate that decisions were measured at, 5e10 float64 operations a second of two cores: 5e12 is about
# what the slowest card with a fast float64 has, 5e11 less than half of a consumer's. From data sheets, and by
# the kind of card: a run that is resumed decides alike.
FAST_SPEED, SLOW_SPEED = 100.0, 10.0


def device_speed() -> float:
    """How much more work a run may take on here than on two cores in the same time."""
    if not tf.config.list_logical_devices("GPU"):
        return 1.0
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    fast = tuple(details.get("compute_capability", ())) in FAST_FLOAT64
    return FAST_SPEED if fast else SLOW_SPEED


def precision_advice(name: str, precision: str) -> str | None:
    """A sentence where this GPU computes float64 at a fraction of its float32 rate; None elsewhere."""
    if not name.startswith("/GPU") or precision != "float64":
        return None
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    capability = details.get("compute_capability")
    if capability is None or tuple(capability) in FAST_FLOAT64:
        return None
    return (
        f"{details.get('device_name', 'this GPU')} computes float64 at a thirty-second of its float32 rate "
        "or less: train.precision=mixed takes float32 where a GP does not need more, and train.device=cpu "
        "may be faster"
    )
