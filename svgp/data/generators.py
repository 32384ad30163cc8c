"""Rows of the data sets that svgp makes: each a formula, given a block's random numbers.

A generator gets two independent streams, one for the inputs and one for the noise, and draws each
row by row; so a shorter block is the beginning of a longer one.
"""

from __future__ import annotations

import numpy as np
from scipy.special import bdtrik, betaincinv, expit, gammaincinv, ndtr, ndtri, pdtrik

Arrays = dict[str, np.ndarray]

# Link lengths shrink towards the hand, as an arm's do, and every joint still matters.
_LINKS = np.array([0.80, 0.70, 0.60, 0.55, 0.50, 0.45, 0.40, 0.35])
# Joint axes alternate, so that the arm moves in space: twist between one axis and the next.
_TWISTS = np.array([0.5, -0.5, 0.5, -0.5, 0.5, -0.5, 0.5, -0.5]) * np.pi
# The shoulder is further from the origin than the arm can reach (4.35): the distance never
# vanishes, where it would not be smooth.
_SHOULDER = np.array([3.0, 2.5, 2.5])


def robot_arm_distance(angles: np.ndarray) -> np.ndarray:
    """Distance `[N]` of an 8-joint arm's hand from the origin, for joint angles `[N, 8]` in radians.

    Forward kinematics in Denavit-Hartenberg form, each joint a turn about its z axis, a step of a
    link length along x, and a twist about x:
    `p_i = Rz(angle_i) (a_i e_x + Rx(twist_i) p_{i+1})`, `p_9 = 0`, distance `|shoulder + p_1|`.
    """
    x = np.zeros(len(angles))
    y, z = x, x
    for joint in range(len(_LINKS) - 1, -1, -1):
        cos_twist, sin_twist = np.cos(_TWISTS[joint]), np.sin(_TWISTS[joint])
        x, y, z = x + _LINKS[joint], cos_twist * y - sin_twist * z, sin_twist * y + cos_twist * z
        cos, sin = np.cos(angles[:, joint]), np.sin(angles[:, joint])
        x, y = cos * x - sin * y, sin * x + cos * y
    return np.sqrt((x + _SHOULDER[0]) ** 2 + (y + _SHOULDER[1]) ** 2 + (z + _SHOULDER[2]) ** 2)


def robot_arm(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """Joint angles uniform in [-pi/2, pi/2], and the distance with Gaussian noise of that deviation."""
    angles = (inputs.random((rows, len(_LINKS))) - 0.5) * np.pi  # [rows, 8]
    distance = robot_arm_distance(angles) + noise * errors.standard_normal(rows)
    return {**{f"angle{joint + 1}": angles[:, joint] for joint in range(len(_LINKS))}, "distance": distance}


def curve(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """`y = sin(2 x) + x / 3 + noise` for x uniform in [-3, 0] and [1.5, 3]: a gap between."""
    x = 4.5 * inputs.random(rows) - 3.0
    x = np.where(x > 0.0, x + 1.5, x)
    return {"x": x, "y": np.sin(2.0 * x) + x / 3.0 + noise * errors.standard_normal(rows)}


def two_classes(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """Points uniform in [-2, 2]^2, class 1 above the curve `x2 = sin(2 x1) + x1^2 / 4 - 0.3`.

    The distance above the curve is blurred by Gaussian noise, so classes mix near the boundary.
    """
    x = 4.0 * inputs.random((rows, 2)) - 2.0  # [rows, 2]
    height = x[:, 1] - (np.sin(2.0 * x[:, 0]) + x[:, 0] ** 2 / 4.0 - 0.3)
    label = (height + noise * errors.standard_normal(rows) > 0.0).astype(np.int64)
    return {"x1": x[:, 0], "x2": x[:, 1], "label": label}


def counts(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """Events at times uniform in [0, 10]: Poisson with `log rate = 1 + sin(1.5 t) + 0.1 t`."""
    time = 10.0 * inputs.random(rows)
    rate = np.exp(1.0 + np.sin(1.5 * time) + 0.1 * time)
    return {"time": time, "count": errors.poisson(rate)}


def impact(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """Acceleration (g) at milliseconds uniform in [0, 60] after an impact near 15: still, then wild.

    A damped swing `-120 exp(-(t - 15) / 12) sin((t - 15) / 6)` from 15 on; the noise's deviation rises from 2
    to 25 around 20 and falls back to 6.
    """
    t = 60.0 * inputs.random(rows)
    after = np.maximum(t - 15.0, 0.0)
    swing = -120.0 * np.exp(-after / 12.0) * np.sin(after / 6.0)
    deviation = 2.0 + 25.0 * np.exp(-(((t - 26.0) / 8.0) ** 2)) + 4.0 / (1.0 + np.exp(-(t - 22.0)))
    return {"milliseconds": t, "acceleration": swing + deviation * errors.standard_normal(rows)}


def lifetimes(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """Years until a machine fails, Weibull of shape 2; about a third have not failed yet (`alive` is 1).

    Their scale is `exp(2.5 - 0.8 load + 0.4 sin(3 heat))`; `paint` does not matter. Observation ends at an
    exponential time of 20 years, whatever the machine does.
    """
    load, heat, paint = inputs.random((rows, 3)).T
    scale = np.exp(2.5 - 0.8 * load + 0.4 * np.sin(3.0 * heat))
    waits = -np.log1p(-errors.random((rows, 2)))  # [rows, 2] exponential
    failure, end = scale * np.sqrt(waits[:, 0]), 20.0 * waits[:, 1]
    alive = (end < failure).astype(np.int64)
    years = np.maximum(np.minimum(failure, end), 1e-6)
    return {"load": load, "heat": heat, "paint": paint, "alive": alive, "years": years}


def grades(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """Marks 1 to 5: a smooth function of two qualities, a marker's noise, cut at -1.2, -0.4, 0.4, 1.2."""
    care, skill = 4.0 * inputs.random((rows, 2)).T - 2.0
    merit = np.sin(1.5 * care) + 0.6 * skill + noise * errors.standard_normal(rows)
    return {"care": care, "skill": skill, "grade": np.searchsorted([-1.2, -0.4, 0.4, 1.2], merit) + 1}


def visits(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """Visits in `hours` of opening, at a rate `exp(2 + sin(day) + 0.3 day / 7)`, over-dispersed by 0.4."""
    drawn = inputs.random((rows, 3))  # the third: a gamma variable of mean 1, by its quantile
    day, hours, factor = 7.0 * drawn[:, 0], 1.0 + 9.0 * drawn[:, 1], 0.4 * gammaincinv(2.5, drawn[:, 2])
    rate = hours * np.exp(2.0 + np.sin(day) + 0.3 * day / 7.0)
    return {"day": day, "hours": hours, "visits": errors.poisson(rate * factor)}


def seasons(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """Degrees at three sites over twelve years: a slow rise, and a yearly swing that differs in size.

    `10 + 0.15 years + level + swing (cos(2 pi years) + 0.3 cos(4 pi years))`, the swing 12 in the valley,
    10 on the hill (6 degrees colder) and 3 at the coast (2 warmer).
    """
    drawn = inputs.random((rows, 2))
    years, site = 12.0 * drawn[:, 0], (3.0 * drawn[:, 1]).astype(np.int64)
    swing, level = np.array([12.0, 10.0, 3.0])[site], np.array([0.0, -6.0, 2.0])[site]
    wave = np.cos(2.0 * np.pi * (years - 0.55)) + 0.3 * np.cos(4.0 * np.pi * years)
    degrees = 10.0 + 0.15 * years + level + swing * wave + noise * errors.standard_normal(rows)
    return {"years": years, "site": np.array(["valley", "hill", "coast"])[site], "degrees": degrees}


def orchard(inputs: np.random.Generator, errors: np.random.Generator, rows: int, noise: float) -> Arrays:
    """What rows of apple trees bear, by height (0 to 800 m) and water (0 to 6 mm a day); four targets.

    Of a row's vigour `v = sin(height / 150) + 0.8 log(1 + water) - 0.6`: the mean `weight` of an apple in g,
    `150 + 25 v`, seen with a normal error of the known deviation `sigma`; the share `ripe`, beta with mean
    Phi(0.7 v) and exponents that add up to 12, in hundredths, so that some are 0 or 1; of `trees` those with
    `scab`, binomial with log odds `-1 - v`; `moths` caught, Poisson with log rate `1 + 0.7 v`, or none at all
    in three of ten rows, where the trap was shut.
    """
    drawn = inputs.random((rows, 4))
    height, water = 800.0 * drawn[:, 0], 6.0 * drawn[:, 1]
    trees, sigma = 5 + (36.0 * drawn[:, 2]).astype(np.int64), 2.0 + 10.0 * drawn[:, 3]
    vigour = np.sin(height / 150.0) + 0.8 * np.log1p(water) - 0.6
    level = errors.random((rows, 5))
    ripe = 12.0 * ndtr(0.7 * vigour)
    moths = _count(pdtrik(level[:, 3], np.exp(1.0 + 0.7 * vigour)))
    return {
        "height": height,
        "water": water,
        "weight": 150.0 + 25.0 * vigour + sigma * ndtri(level[:, 0]),
        "sigma": sigma,
        "ripe": np.round(betaincinv(ripe, 12.0 - ripe, level[:, 1]), 2),
        "trees": trees,
        "scab": _count(bdtrik(level[:, 2], trees, expit(-1.0 - vigour))),
        "moths": np.where(level[:, 4] < 0.3, 0, moths),
    }


def _count(quantile: np.ndarray) -> np.ndarray:
    """The whole number at a level, of a cumulative distribution's inverse, NaN below its first step."""
    return np.ceil(np.where(quantile > 0.0, quantile, 0.0)).astype(np.int64)
