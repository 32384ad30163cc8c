"""What the diagnostics mean, in sentences with numbers that say what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MUCH_COST = 0.05  # nats a row that the residual variance takes from the bound
MUCH_RESIDUAL = 0.1  # share of prior variance, where the cost cannot be told
LITTLE_COST = 0.01
LITTLE_RESIDUAL = 0.01
MANY = 0.02  # share of the points
MISPLACED = 0.1  # share of redundant points where others are missing; fewer of them are not the trouble
MOSTLY_UNEXPLAINED = 0.5  # share of prior variance, where the noise is so large that it costs little
NOTHING_LEARNED = 0.1  # nats of KL in all


@dataclass(frozen=True)
class Setup:
    """How the points got where they are; None where that is not known.

    init, replace_redundant, trainable: as in `model.inducing`. rows: of training data.
    iterative: trained by L-BFGS, which has no learning rate, with q(u) always at its optimum.
    sets: of points, one for each latent GP where they do not share them; `inducing.count` is of one set.
    """

    init: str | None = None
    rows: int | None = None
    trainable: bool = True
    replace_redundant: bool = False
    iterative: bool = False
    sets: int = 1


def advise(row: Mapping[str, Any], setup: Setup, *, single: bool, eased: bool) -> list[str]:
    """Sentences on one row of `inducing_diagnostics`, the most pressing first; at least one.

    single: the model is float32. eased: Kuu needed more jitter than the model's.
    """
    said = _conditioning(row, single=single, eased=eased)
    if row["step"] > 0 and row["kl"] < NOTHING_LEARNED:
        # How many points there should be, and where, cannot be told from a function that was not found.
        return [*said, _nothing_learned(row)]
    said += [*_number_of_points(row, setup), *_placement(row, setup)]
    return said or [f"{row['count']} points look right: {_residual(row)}, and {_redundant(row)}."]


def _conditioning(row: Mapping[str, Any], *, single: bool, eased: bool) -> list[str]:
    condition = row["condition_number"]
    if not eased and condition < (1e7 if single else 1e14):
        return []
    if single:
        remedy = "train.precision=float64 is safer, and model.inducing.init=cover_tree keeps points apart"
    else:
        remedy = "model.inducing.init=cover_tree keeps points apart, and fewer points help as well"
    more = f", and it took jitter {row['jitter']:.0e} to factorise it" if eased else ""
    return [f"Kuu is nearly singular (condition number {condition:.1e}{more}): {remedy}."]


def _nothing_learned(row: Mapping[str, Any]) -> str:
    return (
        f"The {row['count']} points have learned nothing (KL {row['kl']:.1g} nats in all): the model takes "
        "the target for noise. Either the inputs say nothing about it, or another start finds what they "
        "say (try train.restarts=5)."
    )


def _number_of_points(row: Mapping[str, Any], setup: Setup) -> list[str]:
    count, redundant = row["count"], row["redundant"]
    many = redundant > max(1, MANY * count)
    if _much_left(row):
        if redundant > max(1, MISPLACED * count):
            return [f"{_redundant(row)}, yet {_residual(row)}: {_better_places(setup)}."]
        return [
            f"{_residual(row, sentence=True)}: {_more_points(count, setup)}train longer if the lengthscales "
            "still grow."
        ]
    if row["residual_mean"] > MOSTLY_UNEXPLAINED:
        return [
            f"The {count} points explain only {_percent(1.0 - row['residual_mean'])} of the prior variance. "
            f"That costs the bound no more than {row['residual_cost']:.2g} nats a row, since the noise is "
            "far larger: if the target is less noisy than that, "
            f"{_more_points(count, setup)}try train.restarts=5."
        ]
    if many and _little_left(row):
        enough = _round_up(-(-(count - redundant) // setup.sets))
        return [f"{_redundant(row)}; {_residual(row)}: fewer would do (try model.inducing.count={enough})."]
    if many:
        return [f"{_redundant(row)}; {_residual(row)}."]
    return []


def _more_points(count: int, setup: Setup) -> str:
    """An offer to be followed by another one; nothing where every row is a point already."""
    own = count // setup.sets
    more = 2 * own if setup.rows is None else min(2 * own, setup.rows)
    return f"use more points (try model.inducing.count={more}), or " if more > own else ""


def _better_places(setup: Setup) -> str:
    """What helps points that sit where they are not needed: an option that was not in use."""
    where = "they sit where they are not needed"
    if setup.trainable and not setup.replace_redundant:
        return f"{where}; model.inducing.replace_redundant=true moves them while training, or train longer"
    if setup.init not in ("greedy_variance", "cover_tree"):
        return f"{where}; start from model.inducing.init=greedy_variance, which keeps them apart"
    return f"{where}; {'train longer' if setup.trainable else 'model.inducing.trainable=true lets them move'}"


def _placement(row: Mapping[str, Any], setup: Setup) -> list[str]:
    count, said = row["count"], []
    if _never_moved(row, setup):
        # Of classes rows left out may prefer hyperparameters and points as they were (`held_out`).
        other = ", train.learning_rate is too small, or rows left out are predicted best from where it began"
        small = "" if setup.iterative else f"{other} (the run says so then)"
        said.append(
            f"None of the {count} points has moved by more than a thousandth of a lengthscale: "
            f"training has hardly begun{small}."
        )
    if row["step"] > 0 and row["uninformed"] > max(2, MANY * count):
        said.append(_uninformed(row, setup))
    return said


def _uninformed(row: Mapping[str, Any], setup: Setup) -> str:
    """Far outside the data alone is no fault: L-BFGS puts points there that carry more than most others."""
    yet, unreached = ("", "") if setup.iterative else (" yet", ", or training has not reached them")
    said = (
        f"{row['uninformed']} of {row['count']} points have learned nothing{yet} (below 0.01 nats of KL each)"
    )
    if 2 * row["outside_uninformed"] <= row["uninformed"]:
        return f"{said}: the data near them say little{unreached}."
    remedy = "; model.inducing.keep_in_range=true keeps them in" if setup.trainable else ""
    return (
        f"{said}: {row['outside_uninformed']} of these lie far outside the range of the data, where points "
        f"reach up to {row['outside_by']:.2g} lengthscales{remedy}."
    )


def _never_moved(row: Mapping[str, Any], setup: Setup) -> bool:
    """Where the points explain all there is, as do points at all rows, they have no reason to move."""
    at_all_rows = setup.rows is not None and row["count"] >= setup.sets * setup.rows
    satisfied = at_all_rows or _little_left(row)
    return row["step"] > 0 and setup.trainable and row["unmoved"] == row["count"] and not satisfied


def _much_left(row: Mapping[str, Any]) -> bool:
    if row["residual_cost"] is None:
        return bool(row["residual_mean"] > MUCH_RESIDUAL)
    return bool(row["residual_cost"] > MUCH_COST)


def _little_left(row: Mapping[str, Any]) -> bool:
    if row["residual_cost"] is None:
        return bool(row["residual_mean"] < LITTLE_RESIDUAL)
    return bool(row["residual_cost"] < LITTLE_COST)


def _residual(row: Mapping[str, Any], *, sentence: bool = False) -> str:
    cost = row["residual_cost"]
    nats = "" if cost is None else f", which costs the bound {cost:.2g} nats a row"
    share = f"residual is {_percent(row['residual_mean'])} of the prior variance{nats}"
    return f"{'The' if sentence else 'the'} {share}"


def _redundant(row: Mapping[str, Any]) -> str:
    redundant = row["redundant"]
    return (
        f"{redundant or 'none'} of {row['count']} points {'is' if redundant in (0, 1) else 'are'} redundant"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.2g}%" if share < 0.995 else "100%"


def _round_up(number: int) -> int:
    """To two significant digits."""
    unit = 10 ** max(0, int(math.log10(max(number, 1))) - 1)
    return -(-number // unit) * unit
