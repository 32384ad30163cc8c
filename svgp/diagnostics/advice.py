"""What the diagnostics mean, in sentences with numbers that say what to do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MUCH_COST = 0.05  # nats a row that the residual variance takes from the bound
MUCH_RESIDUAL = 0.1  # share of prior variance, where the cost cannot be told
LITTLE_COST = 0.01
LITTLE_RESIDUAL = 0.01
MANY = 0.02  # share of the points
FAR_OUTSIDE = 0.5  # lengthscales; nearer than this a point still serves the rows at the edge


def advise(row: Mapping[str, Any], *, single: bool, eased: bool, trainable: bool) -> list[str]:
    """Sentences on one row of `inducing_diagnostics`, the most pressing first; at least one.

    single: the model is float32. eased: Kuu needed more jitter than the model's. trainable: Z is trained.
    """
    said = [
        *_conditioning(row, single=single, eased=eased),
        *_number_of_points(row),
        *_placement(row, trainable=trainable),
    ]
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


def _number_of_points(row: Mapping[str, Any]) -> list[str]:
    count, redundant = row["count"], row["redundant"]
    many = redundant > max(1, MANY * count)
    if _much_left(row):
        if many:
            return [
                f"{_redundant(row)}, yet {_residual(row)}: they sit where they are not needed; "
                "start from model.inducing.init=greedy_variance or kmeans, or train longer."
            ]
        return [
            f"{_residual(row, sentence=True)}: use more points (try model.inducing.count={2 * count}), "
            "or train longer if the lengthscales still grow."
        ]
    if many and _little_left(row):
        enough = _round_up(count - redundant)
        return [f"{_redundant(row)}; {_residual(row)}: fewer would do (try model.inducing.count={enough})."]
    if many:
        return [f"{_redundant(row)}; {_residual(row)}."]
    return []


def _placement(row: Mapping[str, Any], *, trainable: bool) -> list[str]:
    count, said = row["count"], []
    if row["outside_by"] > FAR_OUTSIDE:
        said.append(
            f"{row['outside']} of {count} points {_lie(row['outside'])} outside the range of the data, "
            f"by up to {row['outside_by']:.2g} lengthscales, where they explain little: "
            "model.inducing.keep_in_range=true keeps them in."
        )
    if row["step"] > 0 and trainable and row["unmoved"] is not None and row["unmoved"] == count:
        said.append(
            f"None of the {count} points has moved by more than a thousandth of a lengthscale: "
            "training has hardly begun, or train.learning_rate is too small."
        )
    if row["step"] > 0 and row["kl"] > 0.1 and row["uninformed"] > max(1, MANY * count):
        said.append(
            f"{row['uninformed']} of {count} points have learned nothing yet (below 0.01 nats of KL each): "
            "they lie far from the data, or training has not reached them."
        )
    return said


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


def _lie(number: int) -> str:
    return "lies" if number == 1 else "lie"


def _round_up(number: int) -> int:
    """To two significant digits."""
    unit = 10 ** max(0, int(math.log10(max(number, 1))) - 1)
    return -(-number // unit) * unit
