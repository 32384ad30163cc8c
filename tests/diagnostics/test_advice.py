"""The sentences: which finding leads to which advice, with its numbers in it."""

from __future__ import annotations

from typing import Any

import pytest

from svgp.diagnostics import advise

HEALTHY: dict[str, Any] = {
    "step": 100, "count": 512, "condition_number": 1e5, "jitter": 1e-6, "redundant": 0, "residual_mean": 0.03,
    "residual_cost": 0.02, "outside": 0, "outside_by": 0.0, "unmoved": 0, "uninformed": 0, "kl": 900.0,
}  # fmt: skip


def _said(single: bool = False, eased: bool = False, trainable: bool = True, **changes: Any) -> str:
    return " | ".join(advise(HEALTHY | changes, single=single, eased=eased, trainable=trainable))


def test_a_healthy_run_is_told_so() -> None:
    said = _said()
    assert said.startswith("512 points look right: the residual is 3% of the prior variance")
    assert "|" not in said


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"redundant": 31, "residual_mean": 0.004, "residual_cost": 0.003},
            "31 of 512 points are redundant; the residual is 0.4% of the prior variance, "
            "which costs the bound 0.003 nats a row: fewer would do (try model.inducing.count=490).",
        ),
        (
            {"residual_mean": 0.22, "residual_cost": 0.31},
            "The residual is 22% of the prior variance, which costs the bound 0.31 nats a row: use more "
            "points (try model.inducing.count=1024)",
        ),
        (
            {"residual_mean": 0.22, "residual_cost": None},
            "The residual is 22% of the prior variance: use more",
        ),
        ({"redundant": 60, "residual_cost": 0.3}, "60 of 512 points are redundant, yet"),
        ({"condition_number": 3e14}, "nearly singular (condition number 3.0e+14)"),
        ({"eased": True, "jitter": 1e-4}, "it took jitter 1e-04"),
        ({"single": True, "condition_number": 1e8}, "train.precision=float64"),
        ({"outside": 3, "outside_by": 2.5}, "3 of 512 points lie outside the range of the data"),
        ({"unmoved": 512}, "None of the 512 points has moved"),
        ({"uninformed": 40}, "40 of 512 points have learned nothing yet"),
    ],
)
def test_each_finding_has_its_sentence(changes: dict[str, Any], words: str) -> None:
    assert words in _said(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"unmoved": 512, "trainable": False},
        {"unmoved": 512, "step": 0},
        {"uninformed": 512, "step": 0, "kl": 0.0},
        {"redundant": 1},
        {"outside": 4, "outside_by": 0.1},
        {"unmoved": None},
    ],
)
def test_what_is_no_trouble_is_not_mentioned(changes: dict[str, Any]) -> None:
    assert "look right" in _said(**changes)
