"""What a run will take: by operations, limits, and the rate that is measured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from svgp.config import Config
from svgp.cores import cores
from svgp.runs import decisions
from svgp.runs.decisions import MOST_WITH_NEIGHBOURS, most_points, rows_to_fit, rows_to_learn
from svgp.runs.forecast import forecast, peak_bytes
from svgp.runs.machine import SHARE_OF_PRODUCTS, Machine, machine, product_rate

SLOW = Machine(1e10, 3e-8)


def config(**train) -> Config:
    model = {"inducing": {"count": train.pop("count", 256)}, "likelihood": train.pop("likelihood", {})}
    return Config.from_dict({"data": {"dataset": "curve"}, "model": model, "train": train})


def test_work_grows_as_operations_do():
    quick = forecast(config(method="adam", max_steps=100, count=512), 10_000, 8, on=SLOW)
    slow = forecast(config(method="adam", max_steps=200, count=2048), 10_000, 8, on=SLOW)
    assert quick.steps == ((100, 100),) and quick.limit == "train.max_steps"
    assert 2 * 10 < slow.train_s[1] / quick.train_s[1] < 2 * 64
    assert slow.peak_bytes > quick.peak_bytes
    twice = forecast(
        config(method="adam", max_steps=100, count=512), 10_000, 8, on=Machine(2e10, 1.5e-8, 0.5)
    )
    for one, other in ((twice.train_s, quick.train_s), (twice.total_s, quick.total_s)):
        assert one == pytest.approx([0.5 * seconds for seconds in other])


def test_the_first_limit_ends_it():
    found = forecast(config(method="natgrad", max_epochs=3, batch_size=100), 1000, 2, on=SLOW)
    assert (found.steps, found.limit) == (((30, 30),), "train.max_epochs")
    found = forecast(config(max_epochs=100, max_seconds=40.0), 40_000, 8, on=SLOW)
    assert found.limit == "train.max_seconds" and found.train_s[1] == pytest.approx(40.0, rel=0.3)
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
    assert forecast(config(**changes), 5000, 3, on=SLOW).method == method


@pytest.mark.parametrize(
    "changes",
    [
        {"outputs": {"type": "lmc", "latents": 2}},
        {"outputs": {"type": "icm"}},
        {"outputs": {"kernels": "separate"}},
        {"inducing": {"count": 64, "shared": False}, "neighbours": {"count": 0}},
    ],
)
def test_mixed_latents_and_ones_with_points_of_their_own_have_no_closed_form(changes):
    """As `check_model` of the collapsed bound says of a model; nor is there a stage on the evidence."""
    given = Config.from_dict({"data": {"dataset": "linnerud"}, "model": changes})
    assert decisions.chosen_method(given, 5000, 64) == "natgrad"
    assert not decisions.has_second_stage(given)


@pytest.mark.parametrize(("variance", "stages"), [(None, 1), (0.1, 2)])
def test_targets_with_noise_of_their_own_have_no_stage_on_the_evidence(variance, stages):
    """As training decides of the model that is built."""
    from svgp.data import load_dataset
    from svgp.models import build_model
    from svgp.training.methods.stages import wants_evidence

    values = {"likelihood": {"variance": variance}, "inducing": {"count": 4}}
    given = Config.from_dict({"data": {"dataset": "linnerud"}, "model": values})
    data = load_dataset(given.data, given.model.likelihood)
    model, _ = build_model(given.model, data.X, data.Y, columns=data.columns)
    assert wants_evidence(model, "collapsed") is decisions.has_second_stage(given, 3) is (stages == 2)
    assert len(forecast(given, 2000, 2, 3, on=SLOW).steps) == stages
    assert decisions.most_wanted(given, 2000, True, 3) == (500 if stages == 2 else decisions.GRID[-1])


@pytest.mark.parametrize("rows", [4999, 5000, 30_000, 10**6, 10**8])
@pytest.mark.parametrize("subset", ["auto", None, 3000])
def test_rows_are_those_that_training_takes(rows, subset):
    from svgp.training.methods import affordable

    for max_seconds in (None, 3600):
        given = config(subset_rows=subset, max_seconds=max_seconds)
        train = given.train
        assert rows_to_fit(train, rows, 512) == min(rows, affordable.rows_to_fit(train, rows, 512) or rows)
        for judged in (True, False):
            model = SimpleNamespace(num_inducing=512, judged=judged, submodules=())
            tree = given.to_dict()
            tree["model"]["calibration"] = "leave_one_out" if judged else "none"
            tree["model"]["neighbours"]["count"] = 0
            given = Config.from_dict(tree)
            taken = affordable.rows_to_learn(model, rows, train) or rows
            assert rows_to_learn(given, rows, 512) == min(rows, taken)


def test_constants_are_those_of_training_which_imports_tensorflow():
    from svgp.runs.forecast import FIRST_SHARE
    from svgp.training.methods import held_out, staged, stages

    assert stages.SHARE_S == FIRST_SHARE and staged.LARGEST == decisions._LARGEST
    assert staged.SEARCHED == decisions._SEARCHED
    assert (held_out.TASKS, held_out.FEWEST) == (decisions.HELD_OUT_TASKS, decisions.HELD_OUT_FROM)


def test_classes_that_rows_left_out_judge_take_fewer_steps_and_more_points():
    """Digits in 110 s: 128 points would have 2,000 steps in the time; where none judges, they still do."""
    train = config(max_seconds=110.0, batch_size=1024).train
    plain, judged = (most_points(train, 1437, 1024, 10, False, labels=labels) for labels in (False, True))
    assert (plain, judged) == (128, 362)
    many = {
        labels: decisions.fit_operations(train, 512, 10**5, 10, False, labels=labels) for labels in (0, 1)
    }
    assert many[0] == many[1]
    whole = [decisions.fit_operations(train, 64, 900, 3, False, labels=labels) for labels in (False, True)]
    assert whole[0] == whole[1]  # L-BFGS goes on to its end before it is judged


def test_the_evidence_asks_for_few_steps_and_for_more_where_z_has_many_coordinates():
    """Ten evaluations, or 150 times the root of the coordinates a row, less .11; rows count half at most."""

    def most(rows, inputs, seconds):
        train = config(max_seconds=seconds).train
        return most_points(train, rows, MOST_WITH_NEIGHBOURS, second=True, inputs=inputs)

    assert [most(36_000, 8, seconds) for seconds in (10.0, 30.0, 60.0, None)] == [128, 256, 512, 512]
    assert [most(13_500, 26, seconds) for seconds in (10.0, 60.0, 540.0, None)] == [91, 181, 512, 512]
    assert [most(15_642, 17, seconds) for seconds in (60.0, 300.0)] == [181, 512]
    assert [most(10**6, 8, seconds) for seconds in (600.0, None)] == [256, 128]  # None: it will converge
    train = config(max_seconds=60.0).train

    def operations(rows, inputs):
        return decisions.fit_operations(train, 200, rows, second=True, inputs=inputs)

    panel, points, row = 7 * 200**2 * 10_000 + 6 * 200**3, (7 * 200**2 + 768 * 200) * 10_000, 1.25e6 * 10_000
    half = 0.5 * decisions.affordable_operations(train)
    assert operations(10_000, 5) == operations(10_000, 1) == pytest.approx(10 * (panel + points + row))
    assert operations(10_000, 15) == pytest.approx(150 * 0.19**0.5 * (panel + points + row))
    assert operations(10_000, 30) == pytest.approx(150 * 0.7 * (panel + points) + half)


def test_rows_kept_out_leave_a_pass_over_all_to_the_end():
    some, none = (forecast(config(subset_rows=n, max_steps=60), 20_000, 8, on=SLOW) for n in ("auto", None))
    assert none.once_s == 0.0
    # q(u) of the inducing points, 2 M^2 N operations, and a part of an evaluation of the second stage.
    assert 1.0 < some.once_s / (2.0 * 256**2 * 20_000 / (SHARE_OF_PRODUCTS * 1e10)) < 7.0


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
    most = min(rows // 4, MOST_WITH_NEIGHBOURS) if collapsed else decisions.GRID[-1]
    weighed = [
        {
            "points": m,
            "nats_a_row": 1e9 - 1e6 * m,
            "operations": decisions.fit_operations(train, m, rows, 1, collapsed, second=collapsed, inputs=8),
        }
        for m in sorted({min(m, most, rows) for m in inducing_count.GRID})
    ]
    enough = decisions.affordable_operations(train)
    taken = inducing_count._taken(weighed, None, train, enough)[0]
    assert most_points(train, rows, most, 1, collapsed, second=collapsed, inputs=8) == taken
    changes = {} if collapsed else {"likelihood": {"type": "student_t"}}
    found = forecast(config(count="auto", max_seconds=seconds, **changes), rows, 8, on=SLOW)
    assert found.chosen and found.points == taken and "at most" in found.describe()


def test_neighbours_are_a_second_stage_and_part_of_the_end():
    values = {"data": {"dataset": "curve"}, "train": {"max_seconds": 60.0}}
    plain, seen = (
        forecast(
            Config.from_dict({**values, "model": {"inducing": {"count": 256}, "neighbours": {"count": m}}}),
            20_000, 8, on=SLOW,
        )
        for m in (0, 32)
    )  # fmt: skip
    assert seen.end_s > plain.end_s and seen.peak_bytes > plain.peak_bytes
    assert seen.train_s[1] == pytest.approx(60.0, rel=0.1)  # the limit is that of both stages together
    assert len(seen.stages) == 2 and seen.stages[1] > seen.stages[0] == plain.stages[0]
    metrics = seen.compared([7, 3])
    trained_s = seen.once_s + 7 * seen.stages[0] + 3 * seen.stages[1]
    assert metrics["forecast.train_s"] == pytest.approx(trained_s)
    assert metrics["forecast.session_s"] > metrics["forecast.train_s"] + seen.end_s
    assert metrics["forecast.before"] == list(seen.session_s)
    resumed = seen.compared([7, 3], lately=0)  # a session that only ended what another had trained
    assert resumed["forecast.train_s"] == metrics["forecast.train_s"]
    assert resumed["forecast.session_s"] == seen.end_s


def test_a_run_that_ends_by_itself_has_a_range_of_seconds():
    free, limited = (forecast(config(**train), 3000, 8, on=SLOW) for train in ({}, {"max_seconds": 40.0}))
    (least, most), (_, at_most) = free.total_s, limited.total_s
    assert least < at_most < most and " to " in free.describe()
    assert limited.train_s[1] == pytest.approx(40.0, rel=0.05)
    # A number of steps that is sure has a number of seconds that is.
    sure = forecast(config(method="adam", max_steps=50, tolerance=None), 3000, 8, on=SLOW)
    assert sure.train_s[0] == sure.train_s[1] and "about" in sure.describe()


def test_elementwise_work_goes_to_all_cores_that_a_run_has(monkeypatch):
    def one_thread(kind=None):
        return 1e-9

    monkeypatch.setattr("svgp.runs.machine.exponential_seconds", one_thread)
    monkeypatch.setattr("svgp.runs.machine.pass_seconds", one_thread)
    monkeypatch.setattr("svgp.runs.machine.product_rate", lambda kind: 1e10)
    found = {}
    for threads in ("1", "4"):
        monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", threads)
        found[threads] = machine().entry_s
    assert found["1"] == pytest.approx(4.0 * found["4"])


def test_an_exponential_that_is_slow_slows_only_its_part_of_the_elementwise_work(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "1")
    monkeypatch.setattr("svgp.runs.machine.product_rate", lambda kind: 1e10)
    monkeypatch.setattr("svgp.runs.machine.pass_seconds", lambda kind: 0.3e-9)
    found = []
    for seconds in (1.3e-9, 5.5e-9):  # NumPy's with AVX-512, and without
        monkeypatch.setattr("svgp.runs.machine.exponential_seconds", lambda kind, s=seconds: s)
        found.append(machine().entry_s)
    assert found[0] == pytest.approx(26 * 1.3e-9, rel=0.1)  # of the machine that the constants are from
    assert found[1] < 1.4 * found[0]


@pytest.mark.parametrize(
    ("told", "found"),
    [({"OMP_NUM_THREADS": "3"}, 3), ({"TF_NUM_INTRAOP_THREADS": "2", "OMP_NUM_THREADS": "3"}, 2)],
)
def test_cores_are_those_that_the_environment_gives(monkeypatch, told, found):
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    assert cores() >= 1
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert cores() == found
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "0")  # TensorFlow's word for all
    assert cores() == int(told["OMP_NUM_THREADS"])
