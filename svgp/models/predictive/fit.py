"""From a trained model and its rows to what it should say of new ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from svgp.kernels import Kernel
from svgp.models.predictive import leave_one_out as loo
from svgp.models.predictive.calibration import Calibration
from svgp.models.predictive.cavities import Cavities, cavities, is_gaussian
from svgp.models.predictive.corrections import Ingredients, NeighbourRows
from svgp.models.predictive.predictive import Predictive
from svgp.models.predictive.sparse import Parts, SparseRows

ROWS = 3000  # that are left out, one at a time
FEWEST_ROWS = 30  # that can tell whether neighbours help
FEWEST_CALIBRATED = 100  # and how wide predictions should be
RESIDUAL_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)  # beta, for likelihoods other than Gaussian


def fit_predictive(
    model: Any, X: np.ndarray, Y: np.ndarray, *, neighbours: int = 0, calibrate: bool = True, seed: int = 0
) -> Predictive:
    """What `model`, trained on scaled rows X `[N, D]`, Y `[N, P]`, should say of new ones.

    `neighbours`: how many training rows near a point a prediction sees; none where leaving rows out says
    that they do not help. `calibrate`: find c, beta and the shape of the errors. Raises NumericalError where
    Kuu has no factor.
    """
    sparse = SparseRows(model)
    count = neighbours if takes_neighbours(model.kernel, Y.shape[1], model.num_latent) else 0
    chosen = np.sort(np.random.default_rng([seed, 23]).permutation(len(X))[:ROWS])
    known = len(X) >= FEWEST_ROWS and bool(np.all(np.ptp(Y, axis=0) > 0))
    calibrate = calibrate and len(X) >= FEWEST_CALIBRATED
    if not known or not (calibrate or count):
        return Predictive(model, sparse=sparse)
    # Neighbours need the residuals of all rows, calibration those of some.
    used = np.arange(len(X)) if count else chosen
    parts = sparse.parts(X[used])
    cavity = cavities(model.likelihood, parts, Y[used])
    rows = NeighbourRows(model, X, cavity.residual, cavity.noise, count) if count else None
    left_out = _LeftOut(model, X, Y, chosen, parts, cavity, rows, at=chosen if count else slice(None))
    alone = left_out.fit(calibrate, with_neighbours=False)
    best, helped = alone, False
    if rows is not None:
        corrected = left_out.fit(calibrate, with_neighbours=True)
        helped = loo.is_better(corrected[1], alone[1], len(chosen))
        best = corrected if helped else alone
    calibration, density = best
    summary = {
        "neighbours": rows.count if rows is not None and helped else 0,
        "neighbours_asked": neighbours,
        "rows_left_out": len(chosen),
        "log_density": density,
        "log_density_sparse": alone[1],
        "log_density_uncalibrated": left_out.fit(False, with_neighbours=False)[1],
        "invalid_sites": cavity.invalid,
    }
    return Predictive(model, calibration, rows if helped else None, summary, sparse=sparse)


def takes_neighbours(kernel: Kernel, outputs: int, latents: int) -> bool:
    """Whether residuals belong to latent GPs that share one kernel."""
    return kernel.K_diag(np.zeros((1, _columns(kernel)))).shape.rank == 1


def _columns(kernel: Kernel) -> int:
    return 1 + max(kernel.active_dims or (0,))


class _LeftOut:
    """Training rows left out of q(u), and what is said of them then."""

    def __init__(
        self,
        model: Any,
        X: np.ndarray,
        Y: np.ndarray,
        chosen: np.ndarray,
        parts: Parts,
        cavity: Cavities,
        rows: NeighbourRows | None,
        at: Any,
    ) -> None:
        self.model, self.Y, self.rows = model, Y[chosen], rows
        self.mean, self.explained = cavity.mean[at], cavity.explained[at]  # [T, L]
        self.residual, self.noise = parts.residual[at].astype(np.float64), cavity.noise[at]
        self.r = cavity.residual[at]
        self.ingredients: Ingredients | None = None
        if rows is not None:
            self.ingredients = rows.ingredients(X[chosen], without=chosen)
        self.elementwise = is_gaussian(model.likelihood)

    def fit(self, calibrate: bool, with_neighbours: bool) -> tuple[Calibration, float]:
        """The best calibration, and the mean log density of the rows left out under it."""
        if self.elementwise:
            return self._fit_outputs(calibrate, with_neighbours)
        latents = self.mean.shape[1]
        scales = RESIDUAL_SCALES if calibrate else (1.0,)
        densities = {beta: self._density(beta, with_neighbours) for beta in scales}
        beta = max(densities, key=lambda beta: densities[beta])
        if not loo.is_better(densities[beta], densities[1.0], len(self.Y)):
            beta = 1.0
        none = Calibration.none(latents)
        own = Calibration(none.noise, np.full(latents, beta), none.scales, none.weights)
        return own, densities[beta]

    def _fit_outputs(self, calibrate: bool, with_neighbours: bool) -> tuple[Calibration, float]:
        fits = []
        for p in range(self.r.shape[1]):
            predict = self._prediction(p, with_neighbours)
            fits.append(loo.fit(predict, self.r[:, p]) if calibrate else loo.as_it_is(predict, self.r[:, p]))
        size = max(len(fit.shape.scales) for fit in fits)
        # A normal among mixtures is one of equal scales.
        scales = np.stack([np.resize(fit.shape.scales, size) for fit in fits])
        weights = np.stack([np.resize(fit.shape.weights, size) for fit in fits])
        weights /= weights.sum(axis=1, keepdims=True)
        noise, residual = (np.array([getattr(fit, name) for fit in fits]) for name in ("noise", "residual"))
        return Calibration(noise, residual, scales, weights), sum(fit.density for fit in fits)

    def _prediction(self, latent: int, with_neighbours: bool) -> loo.Prediction:
        explained, noise = self.explained[:, latent], float(self.noise[0, latent])
        if not with_neighbours:
            return loo.from_sparse(explained, self.residual[:, latent], noise)
        assert self.ingredients is not None and self.rows is not None
        r = self.rows.values(self.rows.residual[:, latent], self.ingredients.neighbours, 0.0)
        return loo.from_neighbours(self.ingredients, explained, r, noise)

    def _density(self, beta: float, with_neighbours: bool) -> float:
        """Mean log density at the cavities, with residual variances times beta; any likelihood."""
        mean, variance = self.mean.copy(), self.explained + beta * self.residual
        if with_neighbours:
            assert self.ingredients is not None and self.rows is not None
            for latent in range(mean.shape[1]):
                more, left = self.rows.solve(self.ingredients, latent, 1.0, beta)
                mean[:, latent] += more
                variance[:, latent] = self.explained[:, latent] + left
        kind = self.model.dtype.as_numpy_dtype
        found = self.model.likelihood.predict_log_density(mean.astype(kind), variance.astype(kind), self.Y)
        return float(np.mean(found))
