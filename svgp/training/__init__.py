"""Training: methods that advance a step at a time, the loop, checkpoints, loggers."""

from __future__ import annotations

from svgp.training.loop import LoopState, Step, Stop, reason_to_stop, train_steps
from svgp.training.methods.adam import Adam
from svgp.training.methods.base import Method, StepRecord
from svgp.training.methods.registry import METHODS, choose, describe_step_size, make_method, method_class
from svgp.training.progress import Plain, Progress, Silent, Terminal

__all__ = [
    "METHODS",
    "Adam",
    "LoopState",
    "Method",
    "Plain",
    "Progress",
    "Silent",
    "Step",
    "StepRecord",
    "Stop",
    "Terminal",
    "choose",
    "describe_step_size",
    "make_method",
    "method_class",
    "reason_to_stop",
    "train_steps",
]
