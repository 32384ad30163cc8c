"""What a run will take: by operations, limits, and the rate that is measured."""

from __future__ import annotations

import numpy as np
import pytest

from svgp.config import Config
from svgp.runs.forecast import forecast, most_points, peak_bytes, product_rate, rows_to_fit


def config(**train) -> Config:
    model = {"inducing": {"count": train.pop("count", 256)}, "likelihood": train.pop("likelihood", {})}
    return Config.from_dict({"data": {"dataset": "curve"}, "model": model, "train": train})


def test_work_grows_as_operations_do():
    quick = forecast(config(method="adam", max_steps=100, count=512), 10_000, 8, rate=1e10)
    slow = forecast(config(method="adam", max_steps=200, count=2048), 10_000, 8, rate=1e10)
    assert quick.steps == 100 and quick.limit == "train.max_steps"
    assert 2 * 10 < slow.train_s / quick.train_s < 2 * 64
    assert slow.peak_bytes > quick.peak_bytes
    twice = forecast(config(method="adam", max_steps=100, count=512), 10_000, 8, rate=2e10)
    assert 0.4 < twice.train_s / quick.train_s < 0.7


def test_the_first_limit_ends_it():
    found = forecast(config(method="natgrad", max_epochs=3, batch_size=100), 1000, 2, rate=1e10)
    assert (found.steps, found.limit) == (30, "train.max_epochs")
    found = forecast(config(max_epochs=100, max_seconds=40.0), 40_000, 8, rate=1e10)
    assert found.limit == "train.max_seconds" and found.train_s == pytest.approx(40.0, rel=0.3)
    assert "train.max_seconds" in found.describe()


@pytest.mark.parametrize(
    ("changes", "method"),
    [
        ({}, "collapsed"),
        ({"likelihood": {"type": "student_t"}}, "natgrad"),
        ({"precision": "float32"}, "natgrad"),
        ({"method": "adam"}, "adam"),
    ],
)
def test_the_method_that_auto_will_choose(changes, method):
    assert forecast(config(**changes), 5000, 3, rate=1e10).method == method


@pytest.mark.parametrize("rows", [5000, 10**6, 10**8])
@pytest.mark.parametrize("subset", ["auto", None, 3000])
def test_rows_are_those_that_training_takes(rows, subset):
    from svgp.training.methods.affordable import rows_to_fit as taken

    for max_seconds in (None, 3600):
        train = config(subset_rows=subset, max_seconds=max_seconds).train
        assert rows_to_fit(train, rows, 512) == min(rows, taken(train, rows, 512) or rows)


def test_rate_and_memory_are_measured():
    assert 1e8 < product_rate() < 1e14
    assert product_rate(np.float32) > 1e8
    held = peak_bytes()
    assert held is None or held > 1e7


@pytest.mark.parametrize("collapsed", [True, False])
@pytest.mark.parametrize(("rows", "seconds"), [(500, None), (40_000, None), (40_000, 20.0), (10**7, None)])
def test_the_most_points_are_those_that_a_run_would_afford(rows, seconds, collapsed):
    """Where each price is too high to be worth it, the run takes the largest number that the time allows."""
    from svgp.runs import inducing_count

    train = config(max_seconds=seconds).train
    most = min(rows, inducing_count.MOST_WITH_NEIGHBOURS)
    weighed = [
        {
            "points": m,
            "nats_a_row": 1e9 - 1e6 * m,
            "operations": inducing_count.operations(train, m, rows, 1, collapsed),
        }
        for m in sorted({min(m, most) for m in inducing_count.GRID})
    ]
    taken = inducing_count._taken(weighed, None, train)[0]
    assert most_points(train, rows, 512, collapsed=collapsed) == taken
    changes = {} if collapsed else {"likelihood": {"type": "student_t"}}
    found = forecast(config(count="auto", max_seconds=seconds, **changes), rows, 8, rate=1e10)
    assert found.chosen and "at most" in found.describe()
    if collapsed:  # else there are no neighbours' second stage, and more points
        assert found.points == taken


def test_neighbours_are_a_second_stage_and_part_of_the_end():
    values = {"data": {"dataset": "curve"}, "train": {"max_seconds": 60.0}}
    plain, seen = (
        forecast(
            Config.from_dict({**values, "model": {"inducing": {"count": 256}, "neighbours": {"count": m}}}),
            20_000, 8, rate=1e10,
        )
        for m in (0, 32)
    )  # fmt: skip
    assert seen.end_s > plain.end_s and seen.peak_bytes > plain.peak_bytes
    assert seen.train_s == pytest.approx(60.0, rel=0.1)  # the limit is that of both stages together
    assert seen.steps < plain.steps
    done = seen.steps // 3
    metrics = seen.compared(done)
    assert metrics["forecast.train_s"] == pytest.approx(done / seen.steps * seen.train_s)
    assert metrics["forecast.session_s"] > metrics["forecast.train_s"] + seen.end_s
    resumed = seen.compared(done, lately=0)  # a session that only ended what another had trained
    assert resumed["forecast.train_s"] == metrics["forecast.train_s"]
    assert resumed["forecast.session_s"] == seen.end_s
