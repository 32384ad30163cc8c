"""Which path a step takes on this machine: from how many inducing points on the host does the products.

Whether SciPy's BLAS or TensorFlow's own products are faster depends on processor, threads, type and M: on one
machine the host won in float32 from 768 points on, on another from 256. So it is measured: value and
gradient of the marginals at a few sizes, both ways, interleaved, the best of three; some seconds, once. The
answer is kept in the user's cache folder under what it depends on. `FIXED` is what a library user has without
asking, and what `SVGP_PATHS=fixed` keeps for every run: two paths differ in rounding, so two machines' runs
are equal bit for bit only where both are told the path.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import scipy
import tensorflow as tf

from svgp.linalg.host.memory import keep_memory

NEVER = 1 << 30
ROWS = 512  # of the batch that is timed
SETTING = "SVGP_PATHS"


@dataclass(frozen=True)
class Paths:
    """The least M at which the host's BLAS is used, by type; `source`: fixed, measured or given."""

    float64: int
    float32: int
    source: str

    def smallest(self, dtype: tf.DType) -> int:
        """Of this type."""
        return self.float64 if dtype == tf.float64 else self.float32


# Timed on one machine of four cores at B = 1024, host over TensorFlow: float64 0.8 at M = 256, 0.3 at 1024;
# float32 1.9 at 256, 1.1 at 512, 0.8 to 0.9 at 1024. With fewer and longer calls at 256, whole steps on two
# cores: float64 0.6, float32 0.9.
FIXED = Paths(256, 256, "fixed")
_current = FIXED


def current() -> Paths:
    """What `use_host` goes by."""
    return _current


def take(paths: Paths) -> None:
    """Use these from now on, in graphs that are made from now on."""
    global _current
    _current = paths


def tune(folder: Path | None = None) -> Paths:
    """Take the paths that are the fastest here, measured now or before; FIXED where the setting says so.

    `folder`: where measurements are kept, by default the user's cache folder. One that cannot be written to
    costs these seconds at each start and nothing else. Freed memory stays with the process (`keep_memory`).
    """
    keep_memory()
    if os.environ.get(SETTING) == "fixed" or tf.config.list_logical_devices("GPU"):
        paths = FIXED
    else:
        file = (folder or cache_folder()) / f"paths-{_fingerprint()}.json"
        paths = _read(file) or _measured_into(file)
    take(paths)
    return paths


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/svgp`, or `~/.cache/svgp`; a user without a home has it among temporary files."""
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "svgp"
    try:
        return Path.home() / ".cache" / "svgp"
    except RuntimeError:  # a container's user of a number only
        return Path(tempfile.gettempdir()) / f"svgp-{os.getuid()}"


def measure(seconds: Callable[[str, tf.DType, int], float] | None = None) -> Paths:
    """The paths by timing; `seconds(backend, dtype, M)` of one step can be given, for tests."""
    timed = seconds or step_seconds
    found = {}
    for dtype in (tf.float64, tf.float32):
        # From the middle outwards: the host's share of a step only grows with M.
        if _host_wins(timed, dtype, 512):
            found[dtype.name] = 256 if _host_wins(timed, dtype, 256) else 512
        else:
            found[dtype.name] = 1024 if _host_wins(timed, dtype, 1024) else NEVER
    _step.cache_clear()
    return Paths(**found, source="measured")


def _host_wins(timed: Callable[[str, tf.DType, int], float], dtype: tf.DType, size: int) -> bool:
    best = {"host": np.inf, "tensorflow": np.inf}
    for _ in range(3):
        for name in best:
            best[name] = min(best[name], timed(name, dtype, size))
    return best["host"] < best["tensorflow"]


def step_seconds(name: str, dtype: tf.DType, size: int) -> float:
    """Factorisation, marginals and their adjoint at M = `size`, in a graph, as a run does them."""
    step, operands = _step(name, dtype, size)
    started = time.perf_counter()
    step(*operands).numpy()
    return time.perf_counter() - started


@cache
def _step(name: str, dtype: tf.DType, size: int) -> tuple[Callable[..., tf.Tensor], list[tf.Tensor]]:
    from svgp.linalg.backend import backend
    from svgp.linalg.factor import factorise
    from svgp.linalg.marginals import marginals

    rng = np.random.default_rng(size)
    # No covariance is below e^-20: float32 numbers under 1e-38 take a processor many times as long, and
    # TensorFlow's threads take them for zero.
    x = np.linspace(0.0, 20.0, size)
    Kuu = np.exp(-np.abs(x[:, None] - x))
    Kuf = np.exp(-np.abs(x[:, None] - rng.uniform(0.0, x[-1], ROWS)))
    operands = [tf.constant(a, dtype)[None] for a in (Kuu, Kuf, np.ones(ROWS), np.zeros(size), np.eye(size))]

    @tf.function(autograph=False)
    def step(*operands: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(operands)
            uu, uf, ff, m, S = operands
            q = marginals(uu, uf, ff, m, S, factorise(uu, 1e-6), whiten=True)
            value = tf.reduce_sum(q.mean) - tf.reduce_sum(q.explained + q.residual) - tf.reduce_sum(q.kl)
        return sum(tf.reduce_sum(bar) for bar in tape.gradient(value, operands))

    with backend(name):
        step(*operands)
    return step, operands


def _measured_into(file: Path) -> Paths:
    paths = measure()
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(asdict(paths)), encoding="utf-8")
        partial.replace(file)
    return paths


def _read(file: Path) -> Paths | None:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Paths(int(found["float64"]), int(found["float32"]), "measured")
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _fingerprint() -> str:
    """Of all that the answer depends on: processor, threads, versions."""
    from svgp.linalg.host.threads import workers

    facts = [
        platform.machine(),
        _processor(),
        str(workers()),
        tf.__version__,
        np.__version__,
        scipy.__version__,
    ]
    return hashlib.sha256("\n".join([*facts, __doc__ or ""]).encode()).hexdigest()[:16]


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line
    return platform.processor()
