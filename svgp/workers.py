"""The processes that train one model together, and their sums, by TensorFlow's own `tf.distribute`.

Each worker is a process with one replica of the model in plain variables. They start alike, add up what they
found on their own rows by an all-reduce of `tf.distribute.MultiWorkerMirroredStrategy` (RING over gRPC, NCCL
between GPUs), and take the same step, so they stay alike; no variable ever travels. A process alone has the
same interface, and its sums are what it put in.

A worker that dies closes its connections, which the others notice within seconds; one that hangs sends no
heartbeats to TensorFlow's coordination service, which waits for ten seconds. Either ends the sums under way
on all others with an error, of which `joined` makes a RunError; `svgp launch` ends what is left 45 s later.

Who the others are is told by TF_CONFIG (`svgp launch` and Kubernetes operators set it) or by Slurm (`srun`).
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from svgp.errors import RunError
from svgp.stopping import StopAsked, StopSign

_SLURM_PORT = 12321
_LOST = (
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.InternalError,
    tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError,
)  # fmt: skip


class Workers:
    """This process among `count`, of which it is number `index`; alone without a `strategy`."""

    def __init__(self, strategy: Any = None, index: int = 0) -> None:
        self._strategy, self.index = strategy, index
        self.count = 1 if strategy is None else int(strategy.num_replicas_in_sync)
        self._compiled: Any = None
        self.stop = StopSign(shared=strategy is not None)
        self.sums, self.summing_s = 0, 0.0  # messages outside of graphs, and the seconds that they took

    @property
    def alone(self) -> bool:
        """Whether there are no others."""
        return self._strategy is None

    @property
    def chief(self) -> bool:
        """Whether it is this one that writes the run folder."""
        return self.index == 0

    @property
    def shard(self) -> tuple[int, int]:
        """(index, count), as `svgp.rows.Rows.batches` takes it."""
        return self.index, self.count

    def describe(self, seconds: float) -> list[str]:
        """What sums over workers took of so many seconds: a line, or none for one worker."""
        if self.alone:
            return []
        share = 100.0 * self.summing_s / max(seconds, self.summing_s, 1e-9)
        return [
            f"{self.count} workers: {self.sums:,} sums outside of graphs took {self.summing_s:.3g} s, "
            f"{share:.3g}% of the session: messages, and waiting for the slowest"
        ]

    def sum_flat(self, x: tf.Tensor) -> tf.Tensor:
        """The sum of all workers' vectors x `[n]`, the same bits on each; within a graph or outside."""
        if self._strategy is None:
            return x

        def reduce(x: tf.Tensor) -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(x))

        return self._strategy.run(reduce, args=(x,))

    def sum_tensors(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The sums of all workers' tensors, float64 between them: one message."""
        if self._strategy is None:
            return list(tensors)
        flat = tf.concat([tf.reshape(tf.cast(x, tf.float64), [-1]) for x in tensors], 0)
        parts = tf.split(self.sum_flat(flat), [tf.size(x) for x in tensors])
        return [tf.cast(tf.reshape(p, tf.shape(x)), x.dtype) for p, x in zip(parts, tensors, strict=True)]

    def sum(self, arrays: Sequence[Any]) -> list[np.ndarray]:
        """The sums of all workers' arrays or numbers: one message. What they are alone they stay."""
        found = [np.asarray(x, np.float64) for x in arrays]
        if self._strategy is None:
            return found
        if self._compiled is None:
            # One trace for any length: each would take keys of its own for its messages.
            self._compiled = tf.function(
                self.sum_flat, input_signature=[tf.TensorSpec([None], tf.float64)], autograph=False
            )
        began = time.perf_counter()
        flat = self._compiled(tf.constant(np.concatenate([x.ravel() for x in found]))).numpy()
        self.sums, self.summing_s = self.sums + 1, self.summing_s + time.perf_counter() - began
        parts = np.split(flat, np.cumsum([x.size for x in found])[:-1])
        return [part.reshape(x.shape) for part, x in zip(parts, found, strict=True)]

    def agree(self, value: float) -> float:
        """The chief's value, such as what its clock says."""
        return value if self.alone else float(self.sum([value if self.chief else 0.0])[0])

    def agreed(self, keep_going: Callable[[], bool], stopped: type[Exception]) -> Callable[[], bool]:
        """`keep_going` of one worker; several go on together or not at all, as the chief's clock says.

        Raises `stopped` on all of them where that says no. What is returned raises StopAsked where a stop was
        asked for: inside `together` alone.
        """
        if not self.alone and not self.agree(float(keep_going())):
            raise stopped
        clock = keep_going if self.alone else (lambda: True)

        def going() -> bool:
            if self.stop.asked:
                raise StopAsked
            return clock()

        return going

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around what each does with its own rows: StopAsked for one of them is StopAsked for all."""
        if self.alone:
            yield
            return
        asked = False
        try:
            yield
        except StopAsked:
            asked = True
        if self.any(asked):
            raise StopAsked

    def any(self, asked: bool) -> bool:
        """Whether any of them says yes."""
        return asked if self.alone else bool(self.sum([float(asked)])[0] > 0.0)

    def require_same(self, what: str, content: bytes) -> None:
        """Raise RunError, on all workers, where `content` is not the same on all of them."""
        if self.alone:
            return
        digest = hashlib.sha256(content).digest()
        # 20 bits each: their squares, summed over workers, are exact in float64.
        marks = np.array(
            [int.from_bytes(digest[3 * k : 3 * k + 3], "big") >> 4 for k in range(4)], np.float64
        )
        sums, squares = self.sum([marks, marks**2])
        if np.any(self.count * squares != sums**2):
            raise RunError(
                f"the {self.count} workers of this run differ in their {what}: give each the same config, "
                "data and version of svgp"
            )

    def broadcast(self, content: bytes) -> bytes:
        """The chief's bytes."""
        if self.alone:
            return content
        size = int(self.agree(float(len(content))))
        own = np.frombuffer(content, np.uint8) if self.chief else np.zeros(size, np.uint8)
        return self.sum([own])[0].astype(np.uint8).tobytes()


_present = Workers()


def present() -> Workers:
    """The workers that this process belongs to; itself alone, unless inside `joined`."""
    return _present


@contextmanager
def joined() -> Iterator[Workers]:
    """Meet the workers that the environment names, once in a process; alone where it names none.

    Raises RunError where they cannot be met, or where one of them is lost within the block.
    """
    global _present
    resolver = _resolver()
    if resolver is not None and _present.alone:
        _present = _met(resolver)
    try:
        yield _present
    except _LOST as error:
        if _present.alone:
            raise
        found = re.search(r"aborted by: ([^\n\"]+?)(?: Additional| The error|\n|$)", str(error.message))
        told = f" ({found.group(1)})" if found else ""
        raise RunError(
            f"worker {_present.index} of {_present.count}: another worker of this run has "
            f"stopped{told}. The run folder holds the last checkpoint: start all workers again with "
            "--resume"
        ) from error
    finally:
        _present.stop.close()


def _resolver() -> Any:
    resolvers = tf.distribute.cluster_resolver
    if os.environ.get("TF_CONFIG"):
        found = resolvers.TFConfigClusterResolver()
        return found if len(found.cluster_spec().as_dict().get("worker", [])) > 1 else None
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:  # inside srun, and not in its batch script
        return resolvers.SlurmClusterResolver(port_base=_SLURM_PORT, auto_set_gpu=False)
    return None


def _met(resolver: Any) -> Workers:
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) > 1:  # a worker has one replica; svgp launch gives each a GPU of its own
        tf.config.set_visible_devices(gpus[resolver.task_id % len(gpus)], "GPU")
    kinds = tf.distribute.experimental.CommunicationImplementation
    options = tf.distribute.experimental.CommunicationOptions(
        implementation=kinds.NCCL if gpus else kinds.RING
    )
    told = "TF_CONFIG" if os.environ.get("TF_CONFIG") else "Slurm"
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(resolver, options)
    except (RuntimeError, ValueError, tf.errors.OpError) as error:
        raise RunError(f"the workers that {told} names cannot be met: {error}") from error
    return Workers(strategy, int(resolver.task_id or 0))
