"""`svgp diagnose`: what a run's inducing points do, what is left to gain, and what is not known."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from svgp import files
from svgp.config import Config
from svgp.diagnostics import Setup, fixed_subset, inducing_diagnostics
from svgp.errors import DataError, NumericalError, RunError
from svgp.models.bounds import Bound
from svgp.models.certificate import Certificate, certificate
from svgp.models.outlook import Outlook, full_posterior_model, is_collapsible, outlook
from svgp.runs.resume import require_same_data
from svgp.training import choose

if TYPE_CHECKING:
    from svgp.runs.run import Run

MAX_SECONDS = 30.0  # of conjugate gradients for the certificate
SLACK = 0.005  # nats a row by which q(u) may miss its optimum before that is worth a sentence


def diagnose(run: Run, *, max_seconds: float = MAX_SECONDS) -> dict[str, Any]:
    """Diagnostics, certificate and outlook of a run's model on its training rows; also in diagnose.json.

    Keys: `inducing` (see `svgp.diagnostics.inducing_diagnostics`), `certificate` (null where there is none:
    `svgp.models.certificate.Certificate`, with `gap_per_row` and `left_in_q`, nats a row that q(u) misses
    its optimum by), `outlook` (`svgp.models.outlook.Outlook`; null where Kuu has no factor), `sentences`.

    Raises RunError where the run has no model or its data are not there or have changed.
    """
    dataset = _data(run)
    model, X, Y = run.model, dataset.X, dataset.Y
    inducing = inducing_diagnostics(
        model, fixed_subset(X, run.config.train.seed), run.inducing_start(),
        step=int(run.metrics.get("steps", 0)), epoch=float(run.metrics.get("epoch", 0.0)),
        data_range=dataset.rows.extent(), setup=advice_setup(run.config, model, dataset.rows.count),
    )  # fmt: skip
    sentences = list(inducing["advice"])
    proof, left = None, None
    if (obstacle := _obstacle(model)) is not None:
        sentences.append(obstacle)
    else:
        proof = certificate(
            full_posterior_model(model, np.asarray(model.Z, np.float64)), X, Y, max_seconds=max_seconds
        )
        left = (proof.elbo - run.evaluator.elbo(X, Y)) / len(X)
        sentences += _on_certificate(proof, left, model.bound)
    further, said = _outlook(model, X, Y, run.config.train.seed)
    found = {
        "inducing": inducing,
        "certificate": None if proof is None else _plain(proof, left),
        "outlook": None if further is None else asdict(further),
        "sentences": [*sentences, said],
    }
    files.write_json(run.folder.diagnosis, found)
    return found


def advice_setup(config: Config, model: Any, rows: int) -> Setup:
    """What `svgp.diagnostics.advise` takes into account of a run on so many training rows."""
    points = config.model.inducing
    return Setup(
        init=points.init,
        rows=rows,
        trainable=points.trainable,
        replace_redundant=points.replace_redundant,
        sets=model.num_latent if model.separate_points else 1,
        iterative=choose(model, rows, config.train).method.iterative,
    )


def _data(run: Run) -> Any:
    try:
        dataset = run.dataset
    except DataError as error:
        raise RunError(
            f"{run.path}: svgp diagnose needs the rows that the run was trained on, and they cannot be read: "
            f"{error}"
        ) from error
    require_same_data(run.folder, dataset.sha256)
    return dataset


def _obstacle(model: Any) -> str | None:
    """Why there is no certificate, and what can be said instead; None where there is one."""
    if model.likelihood.noise is None:
        kind = type(model.likelihood).__name__
        return (
            f"How much more points could bring is not bounded: for a {kind} likelihood no upper bound on "
            "the log evidence is known that can be computed. The ELBO is a lower bound all the same, and the "
            "residual variance says where the points leave f unexplained."
        )
    if not is_collapsible(model):
        return (
            "How much more points could bring is not bounded: the certificate needs one noise variance and "
            "one kernel and one set of inducing points for all outputs."
        )
    if model.dtype != tf.float64:
        return (
            "How much more points could bring is not bounded: the certificate needs train.precision=float64."
        )
    return None


def _on_certificate(proof: Certificate, left: float, bound: Bound) -> list[str]:
    gap = max(proof.gap_per_row, 0.0)
    said = [
        f"At most {gap:.2g} nats per row are left to gain from more inducing points at these "
        f"hyperparameters: the ELBO is {proof.elbo / proof.rows:.4g} a row, the exact GP's log evidence "
        f"at most {proof.upper / proof.rows:.4g}."
    ]
    if left > SLACK and not bound.is_elbo:
        said.append(
            f"The ELBO of this q(u) is {left:.2g} nats per row lower than that: model.bound={bound} looks "
            "for good predictions instead."
        )
    elif left > SLACK:
        said.append(
            f"q(u) misses its optimum by {left:.2g} nats per row: train longer, or with "
            "train.method=collapsed, which finds it in closed form."
        )
    return said


def _outlook(model: Any, X: np.ndarray, Y: np.ndarray, seed: int) -> tuple[Outlook | None, str]:
    M = model.num_inducing
    try:
        found = outlook(model, X, Y, min(M, max(len(X) - M, 1)), seed=seed)
    except (NumericalError, np.linalg.LinAlgError) as error:
        return None, f"What {2 * M} points would bring cannot be told, since Kuu is nearly singular: {error}."
    if found.added == 0:
        return found, f"More than {M} points would bring nothing: none is left that these do not explain."
    sample = "" if found.rows == len(X) else f" (from {found.rows} of {len(X)} rows)"
    residual = f"{_percent(found.residual_after)} of the prior variance would stay unexplained"
    if found.gain_per_row is None:
        return found, f"With {found.count} points {residual}, now {_percent(found.residual_before)}{sample}."
    return found, (
        f"{found.count} points would gain about {max(found.gain_per_row, 0.0):.2g} nats per row by a quick "
        f"estimate, and {residual}{sample}; training would place them better."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%"


def _plain(proof: Certificate, left: float | None) -> dict[str, Any]:
    return {**asdict(proof), "gap_per_row": proof.gap_per_row, "left_in_q": left}
