"""The numbers of a report, as texts with names and units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

MOST_EVALUATIONS = 15  # rows of the table; the curves show them all


class Number(NamedTuple):
    """A name, its value as text, and what it means or its unit."""

    name: str
    text: str
    meaning: str = ""


# dotted key, name, meaning; a key that is missing is left out.
_HEADLINE = (
    ("test.rmse", "Test RMSE", "in the target's units"),
    ("test.accuracy", "Test accuracy", "share of rows"),
    ("test.nlpd", "Test NLPD", "nats a row, lower is better"),
    ("test.ece", "Test calibration error", "ECE, 0 is perfect"),
    ("test.coverage_50", "Coverage at 50%", "share of rows inside"),
    ("test.coverage_90", "Coverage at 90%", "share of rows inside"),
    ("test.coverage_95", "Coverage at 95%", "share of rows inside"),
    ("test.below", "Below the quantile", "share of rows, to be compared with its level"),
    ("test.mean_error", "Mean error", "levels between the most probable and the right one"),
    ("train.elbo", "ELBO", "nats, the whole training set"),
    ("train.objective", "Predictive objective", "nats, what bound: ppgpr maximises in place of the ELBO"),
    ("wall_s", "Training time", "seconds, evaluation left out"),
    ("steps", "Steps", ""),
)
_INDUCING = (
    ("count", "Inducing points", ""),
    ("redundant", "Redundant", "can be removed together"),
    ("replaced", "Re-placed", "redundant ones that were given new places, so far"),
    ("uninformed", "Learned nothing", "less than 0.01 nats of KL"),
    ("outside", "Far outside the data", ""),
    ("residual_mean", "Unexplained prior variance, mean", "share"),
    ("residual_p95", "Unexplained prior variance, 95th percentile", "share"),
    ("residual_cost", "What that takes from the bound", "nats a row"),
    ("condition_number", "Condition number of Kuu", "without jitter"),
    ("effective_rank", "Effective rank of Kuu", ""),
    ("smallest_distance", "Smallest distance of two points", "lengthscales"),
    ("moved_mean", "Mean movement since the start", "lengthscales"),
    ("moved_max", "Largest movement since the start", "lengthscales"),
    ("kl", "KL divergence", "nats"),
)
_EVALUATION = (
    "step",
    "epoch",
    "wall_s",
    "elbo_per_row",
    "objective_per_row",
    "test.rmse",
    "test.nlpd",
    "test.accuracy",
)


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"test": {"rmse": 1}}` as `{"test.rmse": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def value_text(value: Any) -> str:
    """Four significant digits, thousands separated; a list by its items; null as a dash."""
    if value is None:
        return "–"
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"
    if isinstance(value, Sequence):
        return ", ".join(value_text(item) for item in value)
    return str(value)


def headline(metrics: Mapping[str, Any], history: Sequence[Mapping[str, Any]]) -> list[Number]:
    """The few numbers on top: from the final metrics, else from the last logged rows."""
    flat: dict[str, Any] = {}
    for row in history:
        flat.update({key: value for key, value in flatten(row).items() if value is not None})
    for name in ("elbo", "objective"):
        if name in flat:
            flat[f"train.{name}"] = flat[name]
    if "step" in flat:
        flat["steps"] = flat["step"]
    flat.update({key: value for key, value in flatten(metrics).items() if value is not None})
    return _named(flat, _HEADLINE)


def comparison(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, inducing points alone, as predicted) for each test metric; empty where the two are the same."""
    flat = flatten(metrics)
    names = {key: name for key, name, _ in _HEADLINE}
    rows = [
        (names.get(key, key[5:]), value_text(flat[f"test.sparse.{key[5:]}"]), value_text(value))
        for key, value in flat.items()
        if key.startswith("test.") and f"test.sparse.{key[5:]}" in flat
    ]
    return rows if any(sparse != predicted for _, sparse, predicted in rows) else []


_FORETOLD = (
    ("Training, evaluations and end, before it began", "forecast.before", "session_s", "s", 1.0),
    ("Training, for the steps taken", "forecast.train_s", "wall_s", "s", 1.0),
    (
        "The last session, for its steps, evaluations and end included",
        "forecast.session_s",
        "session_s",
        "s",
        1.0,
    ),
    ("Memory at the peak", "forecast.peak_bytes", "peak_bytes", "GB", 1e-9),
)


def foretold(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """(name, foretold, found) of seconds and memory: what `svgp check` would have said, and what it took."""
    flat = flatten(metrics)
    return [
        (name, f"{_number_or_range(flat[before], scale)} {unit}", f"{flat[after] * scale:.3g} {unit}")
        for name, before, after, unit, scale in _FORETOLD
        if flat.get(before) is not None and flat.get(after) is not None
    ]


def _number_or_range(value: Any, scale: float) -> str:
    values = value if isinstance(value, list) else [value]
    return " to ".join(f"{x * scale:.3g}" for x in values)


def inducing_numbers(row: Mapping[str, Any]) -> list[Number]:
    """The scalars of one row of inducing-point diagnostics."""
    return _named({key: value for key, value in row.items() if value is not None}, _INDUCING)


def table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Header and at most 15 evenly spaced evaluations, the last always among them."""
    if not rows:
        return []
    last = len(rows) - 1
    chosen = sorted({round(k * last / max(MOST_EVALUATIONS - 1, 1)) for k in range(MOST_EVALUATIONS)})
    flat = [flatten(rows[index]) for index in chosen]
    keys = [key for key in _EVALUATION if any(row.get(key) is not None for row in flat)]
    return [list(keys), *([value_text(row.get(key)) for key in keys] for row in flat)]


def _named(flat: Mapping[str, Any], wanted: Sequence[tuple[str, str, str]]) -> list[Number]:
    return [Number(name, value_text(flat[key]), meaning) for key, name, meaning in wanted if key in flat]
