"""A training step of svgp, compiled by XLA: for a GPU."""

from __future__ import annotations

from benchmarks.step_case import serve
from benchmarks.step_ours import Ours


class OursXla(Ours):
    """The same step; nothing in it may call the host then."""

    jit_compile = True


if __name__ == "__main__":
    serve(OursXla)
