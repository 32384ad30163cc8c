"""Rows of the data sets that svgp makes: each a formula, given a block's random numbers.

A generator gets two independent streams, one for the inputs and one for the noise, and draws each
row by row; so a shorter block is the beginning of a longer one.
"""

from __future__ import annotations

import numpy as np

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
