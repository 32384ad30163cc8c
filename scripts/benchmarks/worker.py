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
GPU = "SVGP_BENCHMARK_GPU"  # set to 1 by --gpu: workers see the GPU, and use it


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
            env=environment(torch=any("torch" in word for word in (module, *arguments))),
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


def environment(*, torch: bool = False) -> dict[str, str]:
    """Of a worker: finds this package and svgp, prints little, sees a GPU only with SVGP_BENCHMARK_GPU=1.

    What else was on PYTHONPATH stays for TensorFlow, which may be installed there; a worker with PyTorch
    (`torch`) goes without it, and without the libraries below it: two CUDA releases do not mix in a process.

    OpenMP's threads sleep at barriers: where they spin, as PyTorch's do by default, a few other processes
    on the machine made a small step of GPyTorch take fifty times as long. OMP_WAIT_POLICY, if set, is kept.
    """
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = [str(SCRIPTS), str(SCRIPTS.parent), *([] if torch else given)]
    own = {"PYTHONPATH": os.pathsep.join(path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if os.environ.get(GPU) != "1":
        own["CUDA_VISIBLE_DEVICES"] = "-1"
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep)
    if torch and given:
        own["LD_LIBRARY_PATH"] = os.pathsep.join(
            entry for entry in libraries if entry and not any(entry.startswith(site) for site in given)
        )
    return {"OMP_WAIT_POLICY": "passive", **os.environ, **own}


@contextmanager
def closing_all(workers: Sequence[Worker]) -> Iterator[None]:
    """Ends the workers however the block ends."""
    try:
        yield
    finally:
        for worker in workers:
            worker.close()
