"""`svgp launch`: several workers of one run on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Annotated

import typer

from svgp.cli.output import error_line

GRACE_S = 45.0  # for the others to stop by themselves, once one has failed


def launch(
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- train CONFIG ...", help="What each worker runs.", show_default=False),
    ],
    workers: Annotated[int, typer.Option("--workers", metavar="K", help="How many workers.", min=1)] = 2,
) -> None:
    """Train with K workers of tf.distribute on this machine: svgp launch --workers 2 -- train CONFIG.

    Each sees its share of the rows; a step adds up what they found. train.batch_size is the rows of one
    worker. The first worker prints and writes the run folder.
    """
    if command[0] != "train":
        raise typer.BadParameter(f"launch is for train, got '{command[0]}'", param_hint="COMMAND")
    processes = start(workers, [sys.executable, "-m", "svgp", *command])
    raise typer.Exit(wait(processes))


def start(count: int, command: list[str]) -> list[subprocess.Popen]:
    """Start `count` processes that know each other's address on loopback; cores and GPUs are shared out."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    gpus = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    processes = []
    for index in range(count):
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        environment = {**os.environ, "TF_CONFIG": json.dumps(task)}
        if len(gpus) >= count:
            environment["CUDA_VISIBLE_DEVICES"] = gpus[index]
        share = len(cores) // count  # as many for each: what all compute alike must not differ by threads
        own = cores[index * share : (index + 1) * share]
        quiet = None if index == 0 else subprocess.DEVNULL
        process = subprocess.Popen(command, env=environment, stdout=quiet)
        if own:
            os.sched_setaffinity(process.pid, own)  # before it starts threads: they inherit it
        processes.append(process)
    return processes


def wait(processes: list[subprocess.Popen]) -> int:
    """Wait for all; the exit code of the first that failed, 0 where none did.

    Once one has failed the others have GRACE_S seconds to save and stop, and are ended then. A SIGTERM goes
    on to all of them; a Ctrl-C reaches them from the terminal.
    """

    def pass_on(number: int, frame: object) -> None:
        for process in processes:
            process.send_signal(number)

    before = signal.signal(signal.SIGTERM, pass_on)
    failed, since = 0, 0.0
    try:
        while any(process.poll() is None for process in processes):
            codes = [process.returncode for process in processes]
            if not failed and (bad := [(i, code) for i, code in enumerate(codes) if code]):
                index, failed = bad[0]
                since = time.monotonic()
                error_line(f"worker {index} ended with exit code {failed}; the others stop")
            if failed and time.monotonic() - since > GRACE_S:
                for process in processes:
                    process.kill()
            try:
                time.sleep(0.2)
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, before)
    codes = [process.returncode for process in processes]
    code = failed or next((code for code in codes if code), 0)
    return code if code >= 0 else 1


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in held]
    finally:
        for one in held:
            one.close()
