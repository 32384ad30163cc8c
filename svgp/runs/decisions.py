"""What a run will decide, as far as config and rows tell: method, rows that are fitted, most points.

No TensorFlow, so that a forecast answers at once. A test holds these beside what training does.
"""

from __future__ import annotations

from typing import Any

from svgp import budget
from svgp.budget import EVALUATIONS, KEPT_FROM, OPERATIONS, RATE, SECONDS, SHARE

# What `svgp.runs.inducing_count` takes M from, and the seconds and rate that bound it.
GRID = tuple(round(2 ** (k / 2)) for k in range(6, 21))  # 8, 11, 16, ..., 1024
# With a stage on the evidence: kin40k in ten minutes of two cores has NLPD -1.43 with 512 points.
MOST_WITH_NEIGHBOURS = 512
# Evaluations of each stage that `max_seconds` must allow for, where there are two: the fewest, and times
# the root of the coordinates of Z a row beyond a few. In 60 s of two cores kin40k, with nine rows a
# coordinate of 512 points, has NLPD -1.259 with 128 points (79 steps of the second stage), -1.312 with 256
# (48), -1.343 with 362 (36) and -1.370 with 512 (24). pol, with about one, has -2.306 with 128 (80), -2.283
# with 256 (127) and -2.228 with 512 (67), though after three minutes -2.325; bike -8.10 with 128 and -7.14
# with 256 (-7.63 with another seed).
FEWEST_OF_TWO, EVALUATIONS_OF_TWO, FEW_COORDINATES = 10, 150, 0.11
# Of classes that rows left out judge: the steps to the first look, the climbs of q(u) in it, as many again at
# the end, and what is between. Digits (1,437 rows, ten latents) end at the first look; with 362 points 98.9%
# are right, with 128 98.0%.
JUDGED_STEPS = 200
HELD_OUT_TASKS, HELD_OUT_FROM = budget.JUDGED_TASKS, budget.JUDGED_FROM
# Of the second stage: operations beyond which it takes some rows, times M a row (3 m^2 with 16 neighbours),
# and a row's own small matrices (25 microseconds).
_LARGEST, _NEIGHBOURS, _ROW = 3e12, 768.0, 1.25e6
_SEARCHED = 10**6  # rows, beyond which a GPU takes no more


def has_second_stage(config: Any, targets: int = 1) -> bool:
    """Whether training goes on with the evidence with neighbours, as far as a config tells.

    That is for one noise variance, and of several targets each has its own, unless the config gives one.
    """
    neighbours, model = config.model.neighbours, config.model
    wanted = neighbours.count != 0 and neighbours.fit == "evidence"
    collapsed = _collapsible(model) and config.train.method in ("auto", "collapsed")
    return bool(wanted and collapsed and (targets == 1 or model.likelihood.variance is not None))


def _collapsible(model: Any) -> bool:
    """Whether q(u) has a closed form: Gaussian noise, and latents that share kernel and points, not mixed."""
    alike = model.outputs.type == "independent" and not model.outputs.separate and model.inducing.shared
    return bool(alike and model.likelihood.collapsible)


def has_labels(config: Any) -> bool:
    """Whether rows left out may judge training, as far as a config tells: natgrad, classes, no mixtures."""
    model = config.model
    natgrad = config.train.method in ("auto", "natgrad") and model.bound != "ppgpr"
    return natgrad and model.likelihood.task in HELD_OUT_TASKS and model.outputs.type == "independent"


def most_wanted(config: Any, rows: int, in_memory: bool, targets: int = 1) -> int:
    """The most points that `inducing.count: auto` ever takes.

    With a second stage predictions see neighbours, and a quarter of the rows is plenty (airfoil, 1,353 rows,
    NLPD: 1.481 with 128 points, 1.477 with 256, 1.487 with 512, at thrice the time a step).
    """
    if in_memory and has_second_stage(config, targets):
        return min(MOST_WITH_NEIGHBOURS, max(rows // 4, GRID[0]))
    return GRID[-1]


def most_points(
    train: Any,
    rows: int,
    most: int,
    latents: int = 1,
    collapsed: bool = True,
    *,
    second: bool = False,
    labels: bool = False,
    inputs: int = 1,
) -> int:
    """The largest number of points that `inducing.count: auto` may take, each latent's work in the time."""
    grid = sorted({min(m, rows, most) for m in GRID})
    spent = {
        m: fit_operations(train, m, rows, latents, collapsed, second=second, labels=labels, inputs=inputs)
        for m in grid
    }
    return max([m for m in grid if spent[m] <= affordable_operations(train)] or grid[:1])


def fit_operations(
    train: Any,
    points: int,
    rows: int,
    latents: int = 1,
    collapsed: bool = True,
    *,
    second: bool = False,
    labels: bool = False,
    inputs: int = 1,
    speed: float = 1.0,
) -> float:
    """Of a whole fit with so many points, as `train.method: auto` goes about it.

    `latents`: of which each has such work of its own. The collapsed bound of several outputs has it once, in
    an evaluation of all rows; where that is not affordable, and without it, there are steps of natural
    gradients in batches. A batch of all rows has fewer, for L-BFGS.
    `second`: with a stage on the evidence, of as many evaluations; where `max_seconds` may end it these are
    fewer, and grow with the coordinates of Z, M for each of `inputs`. What a row takes there for any M counts
    up to half of the time. `labels`: of classes, which have fewer steps in batches where rows left out judge
    them. `speed`: of the device, times that of two cores.
    """
    all_rows = not collapsed and budget.takes_all_rows(train, rows, points, labels)
    batch = rows if all_rows else budget.batch_rows(train, rows)
    steps = budget.WHOLE_STEPS if all_rows else budget.BATCH_STEPS
    if labels and HELD_OUT_FROM <= rows > batch and budget.can_judge(train, rows, points, latents):
        steps = JUDGED_STEPS
    batches = steps * budget.step_operations(points, batch)
    evaluations: float = EVALUATIONS
    if second and train.max_seconds is not None:
        beyond = max(0.0, points * inputs / rows - FEW_COORDINATES)
        evaluations = max(FEWEST_OF_TWO, EVALUATIONS_OF_TWO * beyond**0.5)
    whole = evaluations * (OPERATIONS * points**2 * rows + 6.0 * points**3)
    affordable = collapsed and budget.affordable(rows, points, speed)
    found = min(whole, batches) if affordable else batches
    seen = _LARGEST / (OPERATIONS * points**2)
    seen = min(rows, max(seen, min(speed * seen, _SEARCHED)))
    if not second:
        return latents * found
    evidence = evaluations * (OPERATIONS * points**2 + _NEIGHBOURS * points) * seen
    of_rows = min(evaluations * _ROW * rows, 0.5 * affordable_operations(train, speed))
    return latents * found + evidence + of_rows


def affordable_operations(train: Any, speed: float = 1.0) -> float:
    """What the time allows: ten minutes, or most of `max_seconds`."""
    return speed * RATE * (SECONDS if train.max_seconds is None else SHARE * train.max_seconds)


def chosen_method(config: Any, rows: int, M: int) -> str:
    """What `train.method: auto` will choose; see `svgp.training.methods`."""
    train, model = config.train, config.model
    if train.method != "auto":
        return str(train.method)
    if model.bound == "ppgpr":
        return "adam"
    fits = _collapsible(model) and train.precision == "float64" and model.posterior.type == "full"
    seen = rows_to_fit(train, rows, M)
    affordable = seen < rows or budget.affordable(rows, M)
    return "collapsed" if fits and affordable else "natgrad"


def rows_to_fit(train: Any, rows: int, M: int) -> int:
    """How many rows the collapsed bound is fitted to, on two cores."""
    return min(rows, budget.rows_to_fit(train, rows, M) or rows)


def is_whole(config: Any, rows: int, M: int) -> bool:
    """Whether natural gradients take all rows in a step, and L-BFGS the rest."""
    natgrad = chosen_method(config, rows, M) == "natgrad" and config.train.precision == "float64"
    mixes = config.model.outputs.type != "independent"
    return natgrad and not mixes and budget.takes_all_rows(config.train, rows, M, has_labels(config))


def rows_a_step(config: Any, rows: int, M: int) -> int:
    """Of a method that takes batches: those of one, or all."""
    return rows if is_whole(config, rows, M) else budget.batch_rows(config.train, rows)


def rows_to_learn(config: Any, rows: int, M: int) -> int:
    """The same, less those that are kept out to judge predictions by, since a fit to them is too hopeful."""
    fitted = rows_to_fit(config.train, rows, M)
    judged = config.model.calibration != "none" or config.model.neighbours.count != 0
    if config.train.subset_rows != "auto" or not judged or rows < KEPT_FROM:
        return fitted
    return min(fitted, budget.rows_not_kept(rows))
