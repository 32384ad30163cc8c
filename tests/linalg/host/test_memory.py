"""Large arrays that are freed and made again take no new pages from the system."""

from __future__ import annotations

import subprocess
import sys

import pytest

from svgp.linalg.host import memory

# The module by its file: by its name TensorFlow would come along, five seconds for each of three processes.
FAULTS = """
import resource, runpy, sys
import numpy as np
keep_memory = runpy.run_path(sys.argv[2])["keep_memory"]
keep = keep_memory() if sys.argv[1] == "keep" else None
def steps(count):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        made = [np.ones(1 << 18) for _ in range(5)]  # 2 MB each
        del made
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
steps(3)
print(keep, steps(20))
"""


def faults(how: str, **environment: str) -> tuple[str, int]:
    given = {"PATH": "", **environment}
    command = [sys.executable, "-c", FAULTS, how, str(memory.__file__)]
    done = subprocess.run(command, capture_output=True, text=True, env=given, check=True)
    told, count = done.stdout.split()
    return told, int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc")
def test_freed_memory_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    path = ":".join(entry for entry in sys.path if entry)
    told, few = faults("keep", PYTHONPATH=path)
    if told != "True":
        pytest.skip("no glibc")
    _, many = faults("leave", PYTHONPATH=path)
    assert few < 500 < 5000 < many  # 20 times 2,560 pages
    assert faults("keep", PYTHONPATH=path, MALLOC_ARENA_MAX="8")[0] == "False"  # the user's own settings
