"""What a trained model says of new rows: the inducing points, corrected by neighbours, calibrated."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from svgp.models.predictive.calibration import Calibration
from svgp.models.predictive.corrections import NeighbourRows
from svgp.models.predictive.sparse import SparseRows
from svgp.parameters import named_variables

OWN = "model."  # in front of the names of the variables of the neighbours' own model


class Latent(NamedTuple):
    """The predictive distribution of f, row by row, in the model's units."""

    mean: np.ndarray  # [N, L]
    variance: np.ndarray  # [N, L]


class Predictive:
    """p(f* | training rows) of a trained model, and the likelihood p(y* | f*) that goes with it.

    A snapshot: it does not follow later changes of the model. `neighbours` may belong to a model of their own
    (fitted to the evidence), whose q(u) and likelihood predictions then take. `summary`: plain numbers about
    how it was made, for a report.
    """

    def __init__(
        self,
        model: Any,
        calibration: Calibration | None = None,
        neighbours: NeighbourRows | None = None,
        summary: dict[str, Any] | None = None,
        *,
        sparse: SparseRows | None = None,
    ) -> None:
        self.model, self.neighbours, self.summary = model, neighbours, summary or {}
        self.sparse = sparse or SparseRows(model)
        self.calibration = calibration or Calibration.none(model.num_functions)
        self.likelihood = self.calibration.likelihood(self.source.model.likelihood)

    @property
    def source(self) -> SparseRows:
        """The q(u) that predictions start from."""
        joint = None if self.neighbours is None else self.neighbours.joint
        return joint if isinstance(joint, SparseRows) else self.sparse

    def latent(self, X: np.ndarray) -> Latent:
        """p(f*) at scaled inputs X `[N, D]`."""
        own, rows = self.calibration, self.neighbours
        if rows is not None and rows.joint is not None:
            correction = rows.correct(X, own.residual)  # the mean of q(f) included
            assert correction.explained is not None
            mean, variance = correction.mean, correction.explained + correction.residual
            return Latent(mean.astype(self.sparse.dtype), variance.astype(self.sparse.dtype))
        found = self.sparse.parts(X)
        mean, residual = found.mean, own.residual * found.residual
        if rows is not None:
            correction = rows.correct(X, own.residual)
            mean, residual = mean + correction.mean, correction.residual
        return Latent(_of(found.mean, mean), _of(found.mean, found.explained + residual))

    def arrays(self) -> dict[str, np.ndarray]:
        """What a file must hold beside the model; `Predictive.of` comes back from it."""
        found = {f"calibration.{name}": x for name, x in self.calibration.arrays().items()}
        if (rows := self.neighbours) is not None:
            found |= {"rows.X": rows.X, "rows.residual": rows.residual, "rows.noise": _thrifty(rows.noise)}
            found["rows.ratio"] = rows.ratio
            if rows.joint is not None:
                found |= {
                    f"{OWN}{name}": np.asarray(x.numpy()) for name, x in named_variables(rows.model).items()
                }
        return found

    @staticmethod
    def of(model: Any, arrays: dict[str, np.ndarray], summary: dict[str, Any], own: Any = None) -> Predictive:
        """From what `arrays` gave and `summary`. Raises KeyError, ValueError where something is missing.

        `own`: the model that the neighbours belong to, where that is not `model`.
        """
        names = ("noise", "residual", "scales", "weights")
        calibration = Calibration(*(arrays[f"calibration.{name}"] for name in names))
        rows = None
        if "rows.X" in arrays:
            residual = arrays["rows.residual"]
            noise = np.broadcast_to(arrays["rows.noise"], residual.shape)
            # Earlier versions let c and beta weigh neighbours.
            ratio = arrays.get("rows.ratio", calibration.noise / calibration.residual)
            rows = NeighbourRows(
                model if own is None else own, arrays["rows.X"], residual, noise, int(summary["neighbours"]),
                joint=None if own is None else SparseRows(own), ratio=ratio,
            )  # fmt: skip
        return Predictive(model, calibration, rows, summary)


def _of(like: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values.astype(like.dtype, copy=False)


def _thrifty(noise: np.ndarray) -> np.ndarray:
    """One row `[1, L]` where all are the same."""
    return np.ascontiguousarray(noise[:1] if np.all(noise == noise[:1]) else noise)
