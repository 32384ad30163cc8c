"""When training is done: going on for as long again would gain next to nothing.

The objective, in nats a row, is kept in blocks: of a method whose steps are iterations over all rows each
step's own value; of one that takes minibatches the mean over an epoch or a hundred steps, in which what the
batches have drawn mostly cancels. Windows grow with the time t that has passed. With the gain g of the last
window and g' of the one before it, going on for as long again would gain at most about

    g log 2 / log(c / c')     (a power law in t; c, c' the times between which g was gained)
    g r / (1 - r), r = g / g' (a geometric decay, where gains shrink from window to window)

and the smaller of the two is believed. A plateau from which the objective starts to rise again has r > 1.
Where blocks are noisy, the standard error of g, from how blocks scatter around a line, must be as small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CONVERGED = "converged"  # how a verdict begins
MOST = 512  # blocks kept; beyond it two become one
BLOCK = 100  # steps of minibatches in a block, at most; fewer where an epoch has fewer
EXACT_SHARE, NOISY_SHARE = 1 / 6, 1 / 4  # of the time so far that a window is long
SHORTEST = 5  # blocks in a window
LEEWAY = 5.0  # times the tolerance that a window of means, which lags behind, may still have gained


@dataclass
class Convergence:
    """The objective so far, in plain values: a checkpoint holds it, and a resumed run ends where it would.

    `total` and `count`: of the block under way; `size`: steps in a block, of which `blocks` are full.
    """

    size: int = 0  # 0: not begun
    exact: bool = True
    blocks: list[float] = field(default_factory=list)  # nats a row
    total: float = 0.0
    count: int = 0
    stage: int = 0  # of the method: another one has another objective

    def add(
        self, values: Sequence[float] | np.ndarray, *, exact: bool, steps_per_epoch: int, stage: int = 0
    ) -> None:
        """Take the objective (nats a row) of some steps, one after the other; of a new stage, begin anew."""
        if stage != self.stage:
            self.restart()
            self.stage = stage
        if self.size == 0:
            self.exact, self.size = exact, 1 if exact else min(steps_per_epoch, BLOCK)
        for value in values:
            # Of exact values the last one of a block stands for it.
            self.total, self.count = (0.0 if self.exact else self.total) + float(value), self.count + 1
            if self.count == self.size:
                self.blocks.append(self.total if self.exact else self.total / self.count)
                self.total, self.count = 0.0, 0
                if len(self.blocks) > MOST:
                    self._halve()

    def restart(self) -> None:
        """Forget everything: another objective from here on."""
        self.size, self.blocks, self.total, self.count = 0, [], 0.0, 0

    def verdict(self, tolerance: float, least: int) -> str | None:
        """Why training is done, in words, or None; not before `least` blocks, `tolerance` in nats a row."""
        found = self._gains(least)
        if found is None:
            return None
        steps, gain, error, ahead = found
        if gain >= tolerance * (1.0 if self.exact else LEEWAY) or max(error, ahead) >= tolerance:
            return None
        return (
            f"{CONVERGED}: the last {steps} steps gained {gain:.1g} nats a row, and as many as all so far "
            f"would gain about {ahead:.1g} (train.tolerance: {tolerance:g})"
        )

    def _gains(self, least: int) -> tuple[int, float, float, float] | None:
        """Steps in the last window, its gain and that one's standard error, and what as long again gains."""
        t = len(self.blocks)
        shortest = min(SHORTEST, max(2, least // 4))
        w = max(shortest, math.ceil((EXACT_SHARE if self.exact else NOISY_SHARE) * t))
        enough = t * self.size >= least and t > 2 * w if self.exact else t >= max(least, 3 * w)
        if not enough:
            return None
        y = np.asarray(self.blocks)
        if self.exact:
            gain, before, error = y[-1] - y[-1 - w], y[-1 - w] - y[-1 - 2 * w], 0.0
            doubling = math.log(2.0) / math.log(t / (t - w))
        else:
            last, middle, first = (y[len(y) - (k + 1) * w : len(y) - k * w] for k in range(3))
            gain, before = last.mean() - middle.mean(), middle.mean() - first.mean()
            scatter = np.concatenate([_around_line(part) for part in (last, middle)])
            error = float(np.sqrt(np.sum(scatter**2) / max(1, len(scatter) - 4)) * math.sqrt(2.0 / w))
            doubling = math.log(2.0) / math.log((t - 0.5 * w) / (t - 1.5 * w))
        rising = max(float(gain), 0.0)
        ahead = rising * doubling
        if before > rising and (self.exact or rising > 2.0 * error):
            ratio = rising / float(before)
            ahead = min(ahead, rising * ratio / (1.0 - ratio))
        return w * self.size, float(gain), error, ahead

    def _halve(self) -> None:
        pairs = np.asarray(self.blocks[: len(self.blocks) // 2 * 2]).reshape(-1, 2)
        rest = self.blocks[len(pairs) * 2 :]
        self.blocks = (pairs[:, 1] if self.exact else pairs.mean(axis=1)).tolist()
        # A block that is left over is the first half of the one under way.
        self.total, self.count = (
            (rest[0] if self.exact else rest[0] * self.size, self.size) if rest else (0.0, 0)
        )
        self.size *= 2

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; floats survive exactly."""
        return {**vars(self), "blocks": list(self.blocks)}


def _around_line(y: np.ndarray) -> np.ndarray:
    """What is left of y `[w]` around its best straight line."""
    x = np.arange(len(y)) - 0.5 * (len(y) - 1)
    return y - y.mean() - x * (x @ y) / max(float(x @ x), 1.0)
