"""The parent's side of the protocol: a contender in a process of its own, which sleeps while others run.

An idle library is not quiet: OpenMP and BLAS threads spin for a while, input pipelines read ahead. So a
worker is stopped by a signal whenever it has answered, and continued for its next question.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parent.parent


class WorkerFailed(Exception):
    """A contender's process ended; the message is the end of what it printed."""


class Worker:
    """One contender: `python -m module` in the given environment."""

    def __init__(self, name: str, python: str, module: str, *arguments: str) -> None:
        self.name = name
        self._stderr = tempfile.TemporaryFile(mode="w+", errors="replace")  # noqa: SIM115 (closed by close)
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            env=environment(),
            start_new_session=True,  # Ctrl-C is for the parent, which still has a table to print
        )

    def send(self, **question: Any) -> None:
        """Wake the worker and ask; several may be asked at once where nothing is timed."""
        self._signal(signal.SIGCONT)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the missing answer tells
            print(json.dumps(question), file=self._process.stdin, flush=True)

    def receive(self) -> dict[str, Any]:
        """Wait for the answer and put the worker to sleep. Raises WorkerFailed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise WorkerFailed(f"{self.name} ended ({self._process.returncode}):\n{self._last_words()}")
        self._signal(signal.SIGSTOP)
        return json.loads(line)

    def ask(self, **question: Any) -> dict[str, Any]:
        """`send`, then `receive`."""
        self.send(**question)
        return self.receive()

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            assert stream is not None
            with suppress(BrokenPipeError):
                stream.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(number)

    def _last_words(self) -> str:
        self._stderr.seek(0)
        return self._stderr.read()[-2000:]


def environment() -> dict[str, str]:
    """Of a worker: finds this package and svgp, sees no GPU (the benchmarks are about CPUs), prints little.

    OpenMP's threads sleep at barriers: where they spin, as PyTorch's do by default, a few other processes
    on the machine made a small step of GPyTorch take fifty times as long. OMP_WAIT_POLICY, if set, is kept.
    """
    path = os.pathsep.join([str(SCRIPTS), str(SCRIPTS.parent)])
    own = {"PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    return {"OMP_WAIT_POLICY": "passive", **os.environ, **own}


@contextmanager
def closing_all(workers: Sequence[Worker]) -> Iterator[None]:
    """Ends the workers however the block ends."""
    try:
        yield
    finally:
        for worker in workers:
            worker.close()
