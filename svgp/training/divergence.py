"""Why a step was not finite, in words: what happened, where, likely causes, what to try."""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp.training.methods.base import STATISTICS, StepRecord

_LARGEST_SPECTRUM = 2048  # an eigendecomposition beyond this makes a failed run wait for its message
_CLOSE = 1e-2  # lengthscales; two inducing points nearer than this are one to any kernel


def describe_divergence(model: Any, record: StepRecord) -> str:
    """The message of TrainingDiverged for a step whose objective or gradient was not finite."""
    found = dict(zip(STATISTICS, record.values().tolist(), strict=True))
    facts = "; ".join(fact for fact in (*_facts(found), _parameters(model), _condition(model)) if fact)
    return (
        f"training diverged at step {record.step} (epoch {record.epoch:.2f}): {_what(found)}. {facts}.\n"
        f"  Likely causes: (a) inducing points nearly on top of each other{_close_pairs(model)}: try "
        "model.inducing.init=cover_tree, or fewer points; (b) a learning rate too large for this model: try "
        "train.learning_rate ten times smaller; (c) too little precision or jitter: try "
        "train.precision=float64 or model.jitter=1e-5.\n"
        "  The last good state is saved: checkpoints/ and model/ in the run folder."
    )


def _what(found: dict[str, float]) -> str:
    if np.isfinite(found["objective"]):
        return "the objective is finite but its gradient is not"
    if not np.isfinite(found["jitter"]) or not np.isfinite(found["kl"]):
        return "Kuu could not be factorised, or q(u) is degenerate (the KL is not finite)"
    if np.isfinite(found["elbo"]):
        return "the predictive log density is not finite"
    return "the expected log-likelihood is not finite"


def _facts(found: dict[str, float]) -> list[str]:
    return [f"jitter {found['jitter']:.1e} after {found['repairs']:.0f} increases"]


def _parameters(model: Any) -> str:
    bad = [x.name.split(":")[0] for x in model.trainable_variables if not np.isfinite(x.numpy()).all()]
    return f"not finite: {', '.join(bad)}" if bad else ""


def _condition(model: Any) -> str:
    """Condition number of Kuu without jitter, in float64."""
    Kuu = np.asarray(model.Kuu(), dtype=np.float64)  # [..., M, M]
    if not np.isfinite(Kuu).all():
        return "Kuu itself holds values that are not finite"
    if Kuu.shape[-1] > _LARGEST_SPECTRUM:
        return ""
    spectrum = np.linalg.eigvalsh(Kuu)  # [..., M]
    smallest, largest = spectrum.min(), spectrum.max()
    if smallest <= 0.0:
        return f"Kuu is not positive definite without jitter (eigenvalues {smallest:.1e} to {largest:.1e})"
    return f"condition number of Kuu {largest / smallest:.1e}"


def _close_pairs(model: Any) -> str:
    """How many inducing points have another one closer than a hundredth of a lengthscale."""
    Z = np.asarray(model.Z, dtype=np.float64)  # [M, D] or [L, M, D]
    D = Z.shape[-1]
    lengthscales = np.asarray(model.kernel.input_lengthscales(D), dtype=np.float64)  # [..., D]
    sets = (Z / lengthscales.reshape(-1, D).max(axis=0)).reshape(-1, *Z.shape[-2:])  # [1 or L, M, D]
    if not np.isfinite(sets).all():
        return ""
    close = sum(_has_neighbour(scaled, row) for scaled in sets for row in range(len(scaled)))
    return f" ({close} of {Z.size // D} lie within {_CLOSE:g} lengthscales of another)"


def _has_neighbour(scaled: np.ndarray, row: int) -> bool:
    with np.errstate(over="ignore"):
        squared = ((scaled - scaled[row]) ** 2).sum(axis=1)  # [M]
    squared[row] = np.inf
    return bool(squared.min() < _CLOSE**2)
