"""Training: methods that advance a step at a time, the loop, checkpoints, loggers."""

from __future__ import annotations

from svgp.training.loop import LoopState, Step, Stop, reason_to_stop, train_steps
from svgp.training.methods.adam import Adam
from svgp.training.methods.base import Method, StepRecord
from svgp.training.methods.registry import METHODS, Choice, choose, make_method
from svgp.training.progress import Plain, Progress, Silent, Terminal
from svgp.training.schedule import Schedule

__all__ = [
    "METHODS",
    "Adam",
    "Choice",
    "LoopState",
    "Method",
    "Plain",
    "Progress",
    "Schedule",
    "Silent",
    "Step",
    "StepRecord",
    "Stop",
    "Terminal",
    "choose",
    "make_method",
    "reason_to_stop",
    "train_steps",
]
