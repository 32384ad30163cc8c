"""Which likelihood suits a target, and why: for a first config, and a word of advice on another one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from svgp.data.categories import level_text
from svgp.data.names import counted
from svgp.data.numeric import plain_column, to_float
from svgp.data.origin import row_number
from svgp.errors import DataError

STRAY = 0.05  # of a column's cells, at most, that are text by mistake among numbers
MOST_LABELS = 50  # of text, or of whole numbers that are grades
MOST_GRADES = 10
LARGEST_FIRST_COUNT = 5  # counts have some near zero
NOWHERE_ABOVE = 3.0  # rows at least that counts would have above their largest, of which there is none
EVEN = 3.0  # times at most that the commonest of many classes is as common as the rarest
OVER_DISPERSED = 10.0  # variance over mean that a smooth rate alone rarely makes
SPAN = 100.0  # 99th over 1st percentile of a target that scatters by factors
FAR, FAR_SHARE = 8.0, 0.002  # robust deviations, and the share of rows beyond, that normal noise never has
# Times that the 95th percentile is as far from the median as the 5th, or the other way round, where a target
# is skewed. A robust likelihood follows the bulk then, and not the mean: RMSE and NLPD of exp(N), 40% of it
# zeros, were 2.12 and 1.77 where calibrated Gaussian noise has 1.56 and 1.60; of lifetimes 69.6 and 5.63, and
# 66.7 and 5.61.
ONE_SIDED = 2.0


class Recommendation(NamedTuple):
    """A likelihood's type, and what of the target speaks for it."""

    likelihood: str
    reason: str


def recommend_likelihood(table: pa.Table, name: str) -> Recommendation:
    """The likelihood that suits the target `name`. Raises DataError where none does.

    It looks at the values alone, as they scatter over all rows: what of that the inputs explain only training
    tells. Truth values and two labels are bernoulli; text is softmax; whole numbers 1 to K are ordinal, 0 to
    K - 1 softmax where they end as counts do not (`rows_above_largest`), others from about 0 counts;
    fractions from 0 to 1 beta; positive numbers that span a factor of 100 lognormal. Where the values leave
    it open, the reason names the other reading.
    """
    try:
        values = to_float(table, name, "")
    except DataError:
        return _of_labels(table, name)
    if len(plain_column(table, name).unique().drop_null()) <= 3:
        labels = {level_text(value) for value in plain_column(table, name).to_pylist() if value == value}
        if len(labels - {"None"}) == 2:
            return Recommendation("bernoulli", "two values")
    return recommend_for_numbers(values)


def recommend_for_numbers(values: np.ndarray) -> Recommendation:
    """The same for numbers `[N]`; NaN and infinities are passed over."""
    y = values[np.isfinite(values)]
    if not len(y):
        return Recommendation("gaussian", "no values to judge from")
    low, high = float(y.min()), float(y.max())
    if np.all(y == np.floor(y)) and low >= 0:
        found = _of_whole_numbers(y, int(low), int(high))
        if found is not None:
            return found
    fractions = len(np.unique(y)) > MOST_GRADES
    if low >= 0.0 and high <= 1.0 and fractions:
        return Recommendation("beta", f"shares from {low:.3g} to {high:.3g}")
    if low > 0.0 and fractions:
        first, last = (float(np.percentile(y, share)) for share in (1, 99))
        if last > SPAN * first:
            return Recommendation(
                "lognormal", f"positive, from {low:.3g} to {high:.3g}: it spans orders of size"
            )
    middle = np.median(y)
    deviation = 1.4826 * np.median(np.abs(y - middle))
    far = float(np.mean(np.abs(y - middle) > FAR * deviation)) if deviation > 0 else 0.0
    low5, high95 = (abs(float(np.percentile(y, share) - middle)) for share in (5, 95))
    skewed = max(low5, high95) > ONE_SIDED * min(low5, high95)
    if far > FAR_SHARE and skewed:
        side = "above" if high95 > low5 else "below"
        return Recommendation(
            "gaussian",
            f"numbers from {low:.4g} to {high:.4g}, skewed: {far:.1%} of them far {side} the others",
        )
    if far > FAR_SHARE:
        return Recommendation("student_t", f"numbers, {far:.1%} of them far off the others")
    return Recommendation("gaussian", f"numbers from {low:.4g} to {high:.4g}")


def _of_labels(table: pa.Table, name: str) -> Recommendation:
    column = plain_column(table, name)
    labels = [value for value in column.unique().drop_null().to_pylist() if value == value]
    if len(labels) == 2:
        return Recommendation("bernoulli", "two labels")
    if 2 < len(labels) <= MOST_LABELS:
        return Recommendation("softmax", counted(len(labels), "label"))
    texts = [(row, value) for row, value in enumerate(column.to_pylist()) if not _is_number(value)]
    if 0 < len(texts) <= STRAY * len(column):
        row, value = texts[0]
        raise DataError(
            f"target '{name}' holds numbers and {counted(len(texts), 'text')}, first '{value}' at row "
            f"{row_number(table, row)}: a header that comes again, a unit or a remark? Take it out of the "
            "table, or leave the cell empty"
        )
    raise DataError(
        f"target '{name}' is neither numbers nor classes: {counted(len(labels), 'different text')}; "
        f"classes are 2 to {MOST_LABELS} labels"
    )


def _is_number(value: Any) -> bool:
    """Whether a cell is a number, with a decimal point or comma, or is empty."""
    if value is None:
        return True
    try:
        float(str(value).replace(",", "."))
    except ValueError:
        return not str(value).strip()
    return True


def rows_above_largest(rows: np.ndarray, low: int = 0) -> float:
    """Of counts with `rows[k]` rows of the value `low + k` [K]: at least so many are expected just above.

    Poisson counts whose rate varies in whatever way have `p(k+1) (k+1) / p(k)`, the mean rate of rows with k,
    rise with k (Robbins 1956), so `p(K+1) >= p(K)^2 K / (p(K-1) (K+1))`. From the two largest values, with
    the first two standard errors fewer and the other two more: none seen where many are expected speaks
    against counts. 0 for fewer than two values.
    """
    if len(rows) < 2:
        return 0.0
    last, before, largest = float(rows[-1]), float(rows[-2]), low + len(rows) - 1
    last, before = max(0.0, last - 2.0 * last**0.5), before + 2.0 * before**0.5
    return last**2 * largest / (before * (largest + 1.0))


def _of_whole_numbers(y: np.ndarray, low: int, high: int) -> Recommendation | None:
    levels, rows = np.unique(y, return_counts=True)
    said = f"whole numbers from {low} to {high}"
    unbroken = len(levels) == high - low + 1 >= 3
    if low == 1 and unbroken and high <= MOST_GRADES and rows.min() > 1:
        return Recommendation("ordinal", f"{said}: marks or grades; softmax if they are names of classes")
    if low == 0 and unbroken and _ends_as_classes_do(rows):
        return Recommendation(
            "softmax",
            f"{said}, {rows[-1]:,} rows of {high} and none above, where counts would thin out: classes; "
            "ordinal if more is better or worse, poisson if they count something",
        )
    if low > LARGEST_FIRST_COUNT or len(levels) < 3 or np.gcd.reduce(levels.astype(np.int64)) > 1:
        return None  # in steps of a thousand, say: a rounded number
    might_be = low == 0 and unbroken and high < MOST_GRADES
    other = "; softmax if they are names of classes, ordinal if they are grades" if might_be else ""
    mean = float(y.mean())
    ratio = float(y.var()) / mean if mean > 0 else 0.0
    zeros, seen = float(np.mean(y == 0)), y[y > 0]
    spread = float(seen.var() / seen.mean()) if len(seen) else 0.0
    if zeros > np.exp(-mean) + 0.2 and spread < 2.0:
        return Recommendation("zero_inflated_poisson", f"{said}, {zeros:.0%} of them zero{other}")
    if ratio > OVER_DISPERSED:
        return Recommendation("negative_binomial", f"{said}, variance {ratio:.2g} times the mean{other}")
    return Recommendation("poisson", f"{said}, variance {ratio:.2g} times the mean{other}")


def _ends_as_classes_do(rows: np.ndarray) -> bool:
    """Whether so many rows of 0, 1, ... K - 1 are no counts; of more than ten, all about as common."""
    few = len(rows) <= MOST_GRADES
    even = len(rows) <= MOST_LABELS and rows.max() <= EVEN * rows.min()
    return (few or even) and rows_above_largest(rows) > NOWHERE_ABOVE
