"""Training rows left out of what predicts them, and the calibration that predicts them best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from svgp.models.predictive import leave_one_out as loo
from svgp.models.predictive.calibration import Calibration
from svgp.models.predictive.cavities import Cavities, is_gaussian
from svgp.models.predictive.corrections import Ingredients, NeighbourRows
from svgp.models.predictive.sparse import Parts

LITTLE = 0.1  # of a row's residual variance: neighbours that explain less are too far to help
RESIDUAL_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)  # beta, for likelihoods other than Gaussian


class Verdict(NamedTuple):
    """The best that one kind of prediction can do: mean log density of the rows left out, nats a row."""

    calibration: Calibration
    density: float
    best: np.ndarray  # [T] of each, by the best calibration, which may not have been worth a change
    rows: NeighbourRows | None  # its neighbours
    squares: np.ndarray | None = None  # errors of rows without a twin; None where f is not in their units
    densities: np.ndarray | None = None  # [T] by `calibration`, where there are no squared errors

    @property
    def reached(self) -> float:
        """By the best calibration, nats a row."""
        return float(np.mean(self.best))


@dataclass
class LeftOut:
    """T training rows as one kind of prediction sees them when each is left out. `[T, L]` but Y `[T, P]`."""

    model: Any
    Y: np.ndarray
    mean: np.ndarray  # of q(f), the row's own part taken out
    explained: np.ndarray  # what q(u) leaves then
    residual: np.ndarray  # residual variance
    error: np.ndarray  # what the row says beyond `mean`
    noise: np.ndarray  # of its site
    rows: NeighbourRows | None = None
    ingredients: Ingredients | None = None
    prior: np.ndarray | None = None  # residual variance before neighbours had a say
    nearest: np.ndarray | None = None  # [T] distance of the nearest, in lengthscales
    single: np.ndarray | None = None  # [T] rows whose inputs no other row has; None: all
    tells_residual: bool = (
        True  # whether residual variances are here as large as at new points; else beta is 1
    )

    @staticmethod
    def alone(model: Any, Y: np.ndarray, parts: Parts, cavity: Cavities, at: Any) -> LeftOut:
        """By the inducing points; `at`: which of `parts` and `cavity` are the T rows."""
        return LeftOut(
            model, Y, cavity.mean[at], cavity.explained[at], parts.residual[at].astype(np.float64),
            cavity.residual[at], cavity.noise[at],
        )  # fmt: skip

    @staticmethod
    def corrected(
        rows: NeighbourRows, Y: np.ndarray, parts: Parts, cavity: Cavities, X: np.ndarray, at: np.ndarray
    ) -> LeftOut:
        """By neighbours after the fact; X, parts and cavity are of all training rows."""
        found = LeftOut.alone(rows.model, Y, parts, cavity, at)
        found.rows, found.ingredients = rows, rows.left_out(X[at], at)
        return found

    def judge(self, calibrate: bool) -> Verdict:
        """The best calibration (or none)."""
        if is_gaussian(self.model.likelihood):
            return self._by_output(calibrate)
        latents = self.mean.shape[1]
        scales = RESIDUAL_SCALES if calibrate and self.tells_residual else (1.0,)
        rows = {beta: self._densities(beta) for beta in scales}  # [T] each
        densities = {beta: float(np.mean(found)) for beta, found in rows.items()}
        beta = max(densities, key=lambda beta: densities[beta])
        best = rows[beta]
        if not loo.is_better(densities[beta], densities[1.0], len(self.Y)):
            beta = 1.0
        none = Calibration.none(latents)
        own = Calibration(none.noise, np.full(latents, beta), none.scales, none.weights)
        return Verdict(own, densities[beta], best, self._weighing(own), densities=rows[beta])

    def proximity(self, calibration: Calibration) -> dict[str, float]:
        """How near the neighbours of the rows are, and how much of the residual variance they explain.

        `nearest_median`, `nearest_p95`: distance of the nearest, in lengthscales. `explained_by_neighbours`:
        share of residual variance; `too_far`: share of rows of whose residual variance they explain less
        than a tenth.
        """
        rows, parts = self._weighing(calibration), self.ingredients
        assert rows is not None
        if parts is None:
            assert self.prior is not None and self.nearest is not None
            own, left, nearest = self.prior[:, 0], self.residual[:, 0], self.nearest
        else:
            own, left, nearest = (
                parts.own,
                rows.apply(parts, 0, rows.weights(parts, 0))[1],
                parts.distances[:, 0],
            )
        own = np.maximum(own, np.finfo(float).tiny)
        left = left / own  # [T]
        return {
            "nearest_median": float(np.median(nearest)),
            "nearest_p95": float(np.quantile(nearest, 0.95)),
            "explained_by_neighbours": float(1.0 - np.sum(left * own) / np.sum(own)),
            "too_far": float(np.mean(left > 1.0 - LITTLE)),
        }

    def _by_output(self, calibrate: bool) -> Verdict:
        """Gaussian noise: c, beta and the shape of each output."""
        fits, (squares, best) = [], np.zeros((2, len(self.error)))
        for p in range(self.error.shape[1]):
            predict, error = self._prediction(p), self.error[:, p]
            told = loo.fit(predict, error, self.tells_residual) if calibrate else loo.as_it_is(predict, error)
            fits.append(told)
            mean = predict(fits[-1].noise, fits[-1].residual)[0]
            squares += (error - mean) ** 2
            best += fits[-1].best
        size = max(len(fit.shape.scales) for fit in fits)
        # A normal among mixtures is one of equal scales.
        scales = np.stack([np.resize(fit.shape.scales, size) for fit in fits])
        weights = np.stack([np.resize(fit.shape.weights, size) for fit in fits])
        weights /= weights.sum(axis=1, keepdims=True)
        noise, residual = (np.array([getattr(fit, name) for fit in fits]) for name in ("noise", "residual"))
        density = float(sum(fit.density for fit in fits))
        calibration = Calibration(noise, residual, scales, weights)
        squares = squares if self.single is None else squares[self.single]
        return Verdict(calibration, density, best, self._weighing(calibration), squares)

    def _weighing(self, calibration: Calibration) -> NeighbourRows | None:
        """The neighbours; after the fact noise and residual count as `calibration` has found them."""
        if self.rows is None or self.ingredients is None:
            return self.rows
        return self.rows.with_ratio(calibration.noise / calibration.residual)

    def _prediction(self, latent: int) -> loo.Prediction:
        explained, noise = self.explained[:, latent], float(self.noise[0, latent])
        if self.rows is None or self.ingredients is None:
            return loo.of_width(explained, self.residual[:, latent], noise)
        near = self.rows.values(self.rows.residual[:, latent], self.ingredients.neighbours, 0.0)
        return loo.from_neighbours(self.ingredients, explained, near, noise)

    def _densities(self, beta: float) -> np.ndarray:
        """Log density of each row at the cavities, residual variances times beta: `[T]`; any likelihood."""
        mean, variance = self.mean.copy(), self.explained + beta * self.residual
        if self.rows is not None and self.ingredients is not None:
            rows = self.rows.with_ratio(np.full(mean.shape[1], 1.0 / beta))
            for latent in range(mean.shape[1]):
                more, left = rows.apply(self.ingredients, latent, rows.weights(self.ingredients, latent))
                mean[:, latent] += more
                variance[:, latent] = self.explained[:, latent] + beta * left
        kind = self.model.dtype.as_numpy_dtype
        found = self.model.likelihood.predict_log_density(mean.astype(kind), variance.astype(kind), self.Y)
        return np.asarray(found, np.float64)
