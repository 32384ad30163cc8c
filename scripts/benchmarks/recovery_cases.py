"""Data that each likelihood generates, with what it was generated from.

One input x in [0, 6] and latent functions f of it that no kernel draws, so that the model is never exactly
right about f. Densities are SciPy's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.stats as st
from scipy.special import ndtr, softmax

Columns = dict[str, np.ndarray]


def wave(x: np.ndarray) -> np.ndarray:
    return np.sin(x) + 0.3 * np.cos(2.5 * x)


def drift(x: np.ndarray) -> np.ndarray:
    return -0.8 + 0.5 * np.cos(x)


@dataclass(frozen=True)
class Case:
    """`draw(x, rng)` gives y and the columns beside it; `log_density(f, columns, theta)` [N] theirs,
    where `f` is `wave(x)`.

    `parameters` are the true values by the name of the likelihood's attribute; `scaled`: in units of the
    target, which training scales. `levels` None: y is a count or a class, and its own probabilities say how
    often it falls into the middle 90%.
    """

    likelihood: dict[str, Any]
    draw: Callable[[np.ndarray, np.random.Generator], Columns]
    log_density: Callable[[np.ndarray, Columns, float], np.ndarray] | None = None
    parameters: dict[str, float] = field(default_factory=dict)
    scaled: float = 0.0  # the power of the target's scale that the parameter carries
    levels: tuple[float, float] | None = (0.05, 0.95)
    tested_on: Callable[[np.ndarray, np.random.Generator], Columns] | None = None  # where it is not `draw`
    rows: int = 2000


def _gaussian(x: np.ndarray, rng: np.random.Generator) -> Columns:
    return {"y": wave(x) + 0.3 * rng.standard_normal(len(x))}


def _known_noise(x: np.ndarray, rng: np.random.Generator) -> Columns:
    sigma = rng.uniform(0.1, 0.6, len(x))
    return {"y": wave(x) + np.hypot(sigma, 0.2) * rng.standard_normal(len(x)), "sigma": sigma}


def _two_latents(noise: Callable[[np.random.Generator, int], np.ndarray]) -> Any:
    return lambda x, rng: {"y": 2.0 * wave(x) + np.exp(drift(x)) * noise(rng, len(x))}


def _censored(draw: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Any:
    """Observation ends at an exponential time: about a third of the rows are censored."""

    def both(x: np.ndarray, rng: np.random.Generator) -> Columns:
        y, end = draw(x, rng), rng.exponential(3.0 * np.exp(wave(x)))
        return {"y": np.minimum(y, end), "alive": (end < y).astype(int)}

    return both


def _survival(distribution: Callable[[np.ndarray, float], Any]) -> Any:
    def log_density(f: np.ndarray, columns: Columns, theta: float) -> np.ndarray:
        given, y = distribution(f, theta), columns["y"]
        return np.where(columns.get("alive", np.zeros(len(f))) > 0, given.logsf(y), given.logpdf(y))

    return log_density


def _weibull(f: np.ndarray, shape: float) -> Any:
    return st.weibull_min(shape, scale=np.exp(f))


def _exposed(draw: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Any:
    def both(x: np.ndarray, rng: np.random.Generator) -> Columns:
        hours = rng.uniform(0.5, 4.0, len(x))
        return {"y": draw(hours * np.exp(wave(x)), rng), "hours": hours}

    return both


def _negative_binomial(f: np.ndarray, columns: Columns, alpha: float) -> np.ndarray:
    mean = columns["hours"] * np.exp(f)
    return st.nbinom.logpmf(columns["y"], 1 / alpha, 1 / (1 + alpha * mean))


def _binomial(x: np.ndarray, rng: np.random.Generator) -> Columns:
    trials = rng.integers(1, 20, len(x))
    return {"y": rng.binomial(trials, 1 / (1 + np.exp(-wave(x)))), "n": trials}


def _zero_inflated(f: np.ndarray, columns: Columns, zeros: float) -> np.ndarray:
    count = np.log1p(-zeros) + st.poisson.logpmf(columns["y"], np.exp(1.0 + f))
    return np.logaddexp(count, np.where(columns["y"] == 0, np.log(zeros), -np.inf))


def _classes(x: np.ndarray, rng: np.random.Generator) -> Columns:
    p = softmax(2.0 * np.stack([wave(x), wave(x + 2.0), 0.3 * x - 1.0], -1), axis=-1)
    drawn = (rng.random((len(x), 1)) > p.cumsum(1)).sum(1)
    return {"y": np.array(["a", "b", "c"])[np.minimum(drawn, 2)]}


def _largest(x: np.ndarray, rng: np.random.Generator) -> Columns:
    best = np.argmax([wave(x), wave(x + 2.0), 0.3 * x - 1.0], axis=0)
    wrong = rng.random(len(x)) < 0.1
    return {"y": np.array(["a", "b", "c"])[(best + wrong * rng.integers(1, 3, len(x))) % 3]}


def _ordinal(x: np.ndarray, rng: np.random.Generator) -> Columns:
    merit = 1.5 * wave(x) + rng.standard_normal(len(x))
    return {"y": np.searchsorted([-1.5, -0.3, 1.0], merit) + 1}


def _ordinal_density(f: np.ndarray, columns: Columns, width: float) -> np.ndarray:
    edges = np.array([-np.inf, -1.5, -0.3, -0.3 + width, np.inf])
    merit, k = 1.5 * f, columns["y"].astype(int)
    return np.log(ndtr(edges[k] - merit) - ndtr(edges[k - 1] - merit))


def _beta(f: np.ndarray, scale: float) -> Any:
    mean = ndtr(f)
    return st.beta(scale * mean, scale * (1 - mean))


def _of(distribution: Any) -> Any:
    return lambda f, columns, theta: distribution(f, theta).logpdf(columns["y"])


CASES: dict[str, Case] = {
    "gaussian": Case(
        {"type": "gaussian"}, _gaussian,
        _of(lambda f, v: st.norm(f, np.sqrt(v))), {"variance": 0.09}, 2.0,
    ),
    "gaussian, known noise": Case(
        {"type": "gaussian", "noise": {"column": "sigma"}}, _known_noise,
        lambda f, c, v: st.norm.logpdf(c["y"], f, np.hypot(c["sigma"], v**0.5)),
        {"variance": 0.04}, 2.0,
    ),
    "student_t": Case(
        {"type": "student_t"}, lambda x, r: {"y": wave(x) + 0.3 * r.standard_t(4.0, len(x))},
        _of(lambda f, s: st.t(4.0, f, s)), {"scale": 0.3}, 1.0,
    ),
    "laplace": Case(
        {"type": "laplace"}, lambda x, r: {"y": wave(x) + r.laplace(0.0, 0.3, len(x))},
        _of(lambda f, s: st.laplace(f, s)), {"scale": 0.3}, 1.0,
    ),
    "heteroskedastic": Case(
        {"type": "heteroskedastic"}, _two_latents(lambda r, n: r.standard_normal(n)),
    ),
    "heteroskedastic student_t": Case(
        {"type": "heteroskedastic", "noise": "student_t"}, _two_latents(lambda r, n: r.standard_t(4.0, n)),
    ),
    # Of its own density, whose quantile at 0.9 is f: the share of rows below f is what the level promises.
    "quantile": Case(
        {"type": "quantile", "level": 0.9}, lambda x, r: {"y": wave(x) + 0.4 * r.standard_normal(len(x))},
    ),
    "gamma": Case(
        {"type": "gamma"}, lambda x, r: {"y": r.gamma(2.5, np.exp(wave(x)))},
        _of(lambda f, a: st.gamma(a, scale=np.exp(f))), {"shape": 2.5},
    ),
    "exponential": Case({"type": "exponential"}, lambda x, r: {"y": r.exponential(np.exp(wave(x)))}),
    "weibull": Case(
        {"type": "weibull"}, lambda x, r: {"y": np.exp(wave(x)) * r.weibull(1.7, len(x))},
        _survival(_weibull), {"shape": 1.7},
    ),
    "weibull, censored": Case(
        {"type": "weibull", "censored": "alive"},
        _censored(lambda x, r: np.exp(wave(x)) * r.weibull(1.7, len(x))), _survival(_weibull), {"shape": 1.7},
        tested_on=lambda x, r: {"y": np.exp(wave(x)) * r.weibull(1.7, len(x)), "alive": 0 * x.astype(int)},
    ),
    "lognormal": Case(
        {"type": "lognormal"}, lambda x, r: {"y": np.exp(wave(x) + 0.4 * r.standard_normal(len(x)))},
        _survival(lambda f, s: st.lognorm(s, scale=np.exp(f))), {"scale": 0.4},
    ),
    "beta": Case(
        {"type": "beta"}, lambda x, r: {"y": _beta(wave(x), 8.0).rvs(random_state=r)},
        _of(_beta), {"scale": 8.0},
    ),
    "poisson": Case({"type": "poisson"}, lambda x, r: {"y": r.poisson(np.exp(1.0 + wave(x)))}, levels=None),
    "negative_binomial": Case(
        {"type": "negative_binomial", "exposure": "hours"},
        _exposed(lambda mean, r: r.poisson(mean * r.gamma(1 / 0.4, 0.4, len(mean)))),
        _negative_binomial, {"alpha": 0.4}, levels=None,
    ),
    "zero_inflated_poisson": Case(
        {"type": "zero_inflated_poisson"},
        lambda x, r: {"y": r.poisson(np.exp(1.0 + wave(x))) * (r.random(len(x)) > 0.3)},
        _zero_inflated, {"zeros": 0.3}, levels=None,
    ),
    "binomial": Case({"type": "binomial", "trials": "n"}, _binomial, levels=None),
    "bernoulli": Case(
        {"type": "bernoulli"}, lambda x, r: {"y": (r.random(len(x)) < ndtr(1.5 * wave(x))).astype(int)},
        levels=None,
    ),
    "softmax": Case({"type": "softmax"}, _classes, levels=None),
    "robust_max": Case({"type": "robust_max", "epsilon": 0.1}, _largest, levels=None),
    "ordinal": Case(
        {"type": "ordinal"}, _ordinal, _ordinal_density, {"width of the third level": 1.3}, levels=None,
    ),
}  # fmt: skip


def table(case: Case, rows: int, seed: int, *, test: bool = False) -> tuple[np.ndarray, Columns]:
    """x [rows], and what `case` draws there."""
    rng = np.random.default_rng([seed, rows, test])
    x = rng.uniform(0.0, 6.0, rows)
    draw = case.tested_on if test and case.tested_on is not None else case.draw
    return x, draw(x, rng)


def standard_error(case: Case, truth: float, x: np.ndarray, columns: Columns) -> float:
    """Of the parameter's estimate where f is known but for its level, by the observed information.

    The level counts since it tells of shapes: of a gamma with a known scale the mean alone does.
    """
    assert case.log_density is not None
    log_density, steps = case.log_density, np.array([1e-3 * truth, 1e-3])

    def at(*signs: float) -> float:
        change = steps * signs
        return float(log_density(wave(x) + change[1], columns, truth + change[0]).sum())

    twice = 2.0 * at(0.0, 0.0)
    own, level = twice - at(1.0, 0.0) - at(-1.0, 0.0), twice - at(0.0, 1.0) - at(0.0, -1.0)
    both = 0.25 * (at(1.0, -1.0) + at(-1.0, 1.0) - at(1.0, 1.0) - at(-1.0, -1.0))
    return float(steps[0] / np.sqrt(own - both**2 / level))
