"""The sentences: which finding leads to which advice, with its numbers in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from svgp.diagnostics import Setup, advise

HEALTHY: dict[str, Any] = {
    "step": 100, "count": 512, "condition_number": 1e5, "jitter": 1e-6, "redundant": 0, "residual_mean": 0.03,
    "residual_cost": 0.02, "outside": 0, "outside_by": 0.0, "outside_uninformed": 0,
    "unmoved": 0, "uninformed": 0, "kl": 900.0,
}  # fmt: skip


SETUP = Setup(init="kmeans", rows=10_000)


def _said(
    single: bool = False, eased: bool = False, setup: dict[str, Any] | None = None, **changes: Any
) -> str:
    return " | ".join(advise(HEALTHY | changes, replace(SETUP, **(setup or {})), single=single, eased=eased))


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
        (
            {"uninformed": 40, "outside": 60, "outside_uninformed": 38, "outside_by": 2.5},
            "38 of these lie far outside the range of the data, where points reach up to 2.5 lengthscales; "
            "model.inducing.keep_in_range=true keeps them in.",
        ),
        ({"unmoved": 512}, "None of the 512 points has moved"),
        ({"uninformed": 40}, "40 of 512 points have learned nothing yet"),
        (
            {"uninformed": 40, "setup": {"iterative": True}},
            "learned nothing (below 0.01 nats of KL each): the ",
        ),
        (
            {"residual_mean": 0.99, "residual_cost": 0.02},
            "The 512 points explain only 1% of the prior variance. That costs the bound no more than 0.02 "
            "nats a row, since the noise is far larger",
        ),
        ({"kl": 1e-6, "redundant": 500, "residual_cost": 1e-8}, "512 points have learned nothing (KL 1e-06"),
    ],
)
def test_each_finding_has_its_sentence(changes: dict[str, Any], words: str) -> None:
    assert words in _said(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"unmoved": 512, "setup": {"trainable": False}},
        {"unmoved": 512, "setup": {"rows": 512}},
        {"unmoved": 512, "residual_cost": 1e-4},
        {"unmoved": 512, "step": 0},
        {"uninformed": 512, "step": 0, "kl": 0.0},
        {"redundant": 1},
        {"outside": 459, "outside_by": 2.5},  # as L-BFGS likes it: these points have learned much
        {"unmoved": None},
    ],
)
def test_what_is_no_trouble_is_not_mentioned(changes: dict[str, Any]) -> None:
    assert "look right" in _said(**changes)


def test_a_method_without_a_learning_rate_is_not_told_to_raise_it() -> None:
    assert "train.learning_rate" in _said(unmoved=512)
    assert "from where it began" in _said(unmoved=512)  # digits: rows left out preferred the start
    lbfgs = _said(unmoved=512, setup={"iterative": True})
    assert "training has hardly begun." in lbfgs and "learning_rate" not in lbfgs


@pytest.mark.parametrize(
    ("setup", "remedy"),
    [
        ({}, "model.inducing.replace_redundant=true"),
        ({"replace_redundant": True}, "init=greedy_variance"),
        ({"trainable": False, "init": "random"}, "init=greedy_variance"),
        ({"trainable": False, "init": "greedy_variance"}, "model.inducing.trainable=true"),
        ({"replace_redundant": True, "init": "cover_tree"}, "train longer"),
    ],
)
def test_a_remedy_is_one_that_was_not_in_use(setup: dict[str, Any], remedy: str) -> None:
    said = _said(redundant=60, residual_cost=0.3, setup=setup)
    assert remedy in said and "kmeans" not in said


def test_more_points_than_rows_are_not_asked_for() -> None:
    much = {"residual_mean": 0.22, "residual_cost": 0.31}
    assert "model.inducing.count=700" in _said(**much, setup={"rows": 700})
    assert "more points" not in _said(**much, setup={"rows": 512})


def test_few_redundant_points_do_not_hide_that_more_are_needed() -> None:
    assert "use more points" in _said(count=32, redundant=2, residual_cost=0.3)


def test_a_function_that_was_not_found_says_nothing_about_the_points() -> None:
    """All target taken for noise: redundant points are no reason to use fewer."""
    said = _said(kl=1e-6, redundant=500, residual_mean=1e-3, residual_cost=1e-8)
    assert "restarts" in said and "fewer" not in said and "|" not in said
