"""The method `collapsed`: descent, deadlines, repairs, and resuming bit for bit."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest

from svgp.config.train import TrainConfig
from svgp.errors import NumericalError, RunError
from svgp.kernels import Matern32
from svgp.likelihoods import Gaussian
from svgp.models import SVGP
from svgp.models.collapsed import bound
from svgp.models.collapsed.bound import CollapsedBound
from svgp.rows import ArrayRows
from svgp.training.lbfgs.box import LIMITS
from svgp.training.lbfgs.machine import Lbfgs
from svgp.training.methods.collapsed import Collapsed
from svgp.training.methods.registry import METHODS


def make_data(rows=300, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 2))
    return X, np.sin(2.0 * X[:, :1]) + 0.1 * rng.normal(size=(rows, 1))  # the second input is irrelevant


def make_method(rows=300, inducing=12, **options):
    X, Y = make_data(rows)
    model = SVGP(Matern32(1.0, [1.0, 1.0]), Gaussian(0.1), X[:inducing], num_data=rows)
    config = SimpleNamespace(**{**dict(TrainConfig()), "max_epochs": None, **options})
    return Collapsed(model, X, Y, config)


def test_training_raises_the_bound_and_leaves_an_ordinary_svgp():
    method = make_method()
    X, Y = make_data()
    records = [method.advance() for _ in range(15)]
    elbos = [record.values()[0] for record in records]
    assert np.all(np.diff(elbos) >= -1e-9) and records[-1].step == 15
    assert elbos[-1] > elbos[0] + 50.0
    np.testing.assert_allclose(method.model.elbo((X, Y)).numpy(), elbos[-1], rtol=1e-9)
    mean, _ = method.model.predict_f(X)
    assert np.sqrt(np.mean((mean.numpy() - np.sin(2.0 * X[:, :1])) ** 2)) < 0.1  # the noise's own scale


def test_with_far_fewer_rows_than_coordinates_Z_stays_where_it_is():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 60))
    Y = np.sin(X[:, :1]) + 0.1 * rng.normal(size=(40, 1))
    found = {}
    for count in (4, 8):  # 40 rows for 240 and for 480 coordinates
        model = SVGP(Matern32(1.0, np.full(60, 8.0)), Gaussian(0.1), X[:count], num_data=40)
        found[count] = Collapsed(model, X, Y, SimpleNamespace(**{**dict(TrainConfig()), "max_epochs": None}))
        for _ in range(3):
            found[count].advance()
    assert not np.allclose(found[4].model.Z, X[:4])
    np.testing.assert_array_equal(found[8].model.Z, X[:8])
    assert not np.allclose(found[8].model.kernel.lengthscales, 8.0)
    assert found[8].notes[-1] == (
        "inducing points stay where they are: 40 rows say too little of their 480 coordinates"
    )
    assert not any("stay where" in note for note in found[4].notes)


def test_convergence_is_told_and_lengthscales_end_at_their_limit():
    method = make_method()
    while not method.converged and method.step < 400:
        last = method.advance()
    assert method.converged
    lengthscales = method.model.kernel.lengthscales.numpy()
    assert lengthscales[1] > 10 * lengthscales[0] and lengthscales[1] <= 1.01 * LIMITS["lengthscale"][0][1]
    again = method.advance()  # nothing is left to do
    assert again.values()[0] == last.values()[0] and again.step == last.step + 1


def test_interrupted_and_resumed_equals_uninterrupted():
    whole = make_method()
    for _ in range(8):
        whole.advance()
    first = make_method()
    for _ in range(4):
        first.advance()
    second = make_method()
    second.load_state(first.state())
    for _ in range(4):
        record = second.advance()
    assert record.step == 8
    for one, other in zip(whole.model.variables, second.model.variables, strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_a_step_gives_the_variables_its_own_values_whatever_others_left_there():
    """Also one that has nothing to evaluate any more, since L-BFGS has ended."""
    one, other = make_method(), make_method()
    for number in range(6):
        if number == 5:
            one.optimiser.finished = other.optimiser.finished = "done"
        if number in (3, 5):
            other.model.Z.assign(np.zeros(other.model.Z.shape))
            other.model.kernel.variance.pretransformed_input.assign(1.0)
        assert np.array_equal(one.advance().values(), other.advance().values())
    np.testing.assert_array_equal(one.model.Z, other.model.Z)


def test_a_checkpoint_of_another_model_is_refused():
    state = make_method().state()
    with pytest.raises(RunError, match="does not fit the model"):
        make_method(inducing=13).load_state(state)


def test_a_checkpoint_names_arrays_by_path_and_one_that_numbers_them_is_refused():
    method = make_method()
    state = method.state()
    assert {"model/Z", "model/kernel.lengthscales", "model/likelihood.variance"} <= state.keys()
    old = {name: array for name, array in state.items() if not name.startswith("model/")}
    with pytest.raises(RunError, match="numbered the model's arrays"):
        method.load_state({**old, "model/000": state["model/Z"]})


def test_the_deadline_cuts_a_step_short_and_restores_the_last_iterate():
    method = make_method(max_seconds=30.0)
    before = method.advance().values()
    kept = [v.numpy() for v in method.model.variables]
    method.spend(31.0)
    record = method.advance()
    assert record.values()[0] == before[0]
    for variable, value in zip(method.model.variables, kept, strict=True):
        assert np.array_equal(variable.numpy(), value)


def test_the_first_evaluation_is_completed_whatever_the_deadline():
    method = make_method(max_seconds=1e-9)
    assert np.isfinite(method.advance().values()[0])
    X, Y = make_data()
    np.testing.assert_allclose(
        method.model.elbo((X, Y)).numpy(), CollapsedBound(method.model, X, Y).evaluate().bound
    )


def test_max_seconds_is_kept():
    method = make_method(rows=3000, inducing=60, max_seconds=1.5)
    method.advance()  # graphs are built here
    started, before = time.perf_counter(), method.elapsed
    while method.elapsed < 1.5:
        method.advance()
    assert time.perf_counter() - started < max(1.5 - before, 0.0) + 0.75


def test_a_trial_point_without_a_value_sends_the_search_back():
    method = make_method()
    method.advance()
    evaluate, failures = method.bound.evaluate, iter([True, True])

    def sometimes(keep_going):
        if next(failures, False):
            raise NumericalError("as if Kuu had failed")
        return evaluate(keep_going)

    method.bound.evaluate = sometimes
    records = [method.advance() for _ in range(5)]
    assert sum(record.values()[4] for record in records) == 2
    assert records[-1].values()[0] > records[0].values()[0]
    assert all(np.isfinite(record.values()[0]) for record in records)


def test_a_start_without_a_value_is_an_error():
    method = make_method()
    method.model.Z.assign(np.full(method.model.Z.shape, np.nan))
    method.optimiser = Lbfgs(method._vector.pack(), method.optimiser.bounds)
    with pytest.raises(NumericalError):
        method.advance()


def test_a_subset_fits_the_hyperparameters_and_all_rows_the_posterior():
    method = make_method(subset_rows=100)
    X, Y = make_data()
    for _ in range(5):
        record = method.advance()
    assert len(method.bound.rows) == 100
    seen, unseen = method.bound.rows.X, X[method.unseen]
    assert len(np.unique(np.concatenate([seen, unseen]), axis=0)) == len(X) == len(seen) + len(unseen)
    fitted = method.bound.evaluate().bound
    assert record.values()[0] == pytest.approx(
        3.0 * fitted, rel=1e-9
    )  # extrapolated from a third of the rows
    method.finish()
    whole = CollapsedBound(method.model, X, Y).evaluate()
    np.testing.assert_allclose(method.model.elbo((X, Y)).numpy(), whole.bound, rtol=1e-9)
    np.testing.assert_allclose(method._summary[0], whole.bound, rtol=1e-9)
    method.finish()  # once is enough


def test_a_subset_is_completed_when_the_time_is_up():
    method = make_method(subset_rows=100, max_seconds=60.0)
    X, Y = make_data()
    method.advance()
    method.spend(61.0)
    record = method.advance()
    np.testing.assert_allclose(record.values()[0], method.model.elbo((X, Y)).numpy(), rtol=1e-9)


def test_a_subset_is_completed_at_the_last_step_that_the_config_allows():
    method = make_method(subset_rows=100, max_steps=3, max_epochs=100)
    X, Y = make_data()
    records = [method.advance() for _ in range(3)]
    np.testing.assert_allclose(records[-1].values()[0], method.model.elbo((X, Y)).numpy(), rtol=1e-9)


@pytest.mark.parametrize(("block", "seen"), [(150, 150), (60, 100)])
def test_a_pass_without_time_ends_with_the_best_q_for_the_rows_that_it_saw(monkeypatch, block, seen):
    """Some 150 rows, the first of their shuffled order; 60 are fewer than the subset, which stands."""
    monkeypatch.setattr(bound, "SHUFFLED_ROWS", block)
    method = make_method(subset_rows=100, max_seconds=60.0)
    method.advance()
    method.spend(61.0)
    record = method.advance()
    rows = ArrayRows(*make_data())
    shown = next(rows.batches(block, method._seed)) if seen == block else method.bound.rows.sample()
    best = CollapsedBound(method.model, *shown).evaluate()
    q_mean = method.model.q_mean.numpy().copy()
    method.bound.assign(best.posterior)
    np.testing.assert_allclose(q_mean, method.model.q_mean.numpy(), rtol=1e-7, atol=1e-9)
    assert record.values()[0] == pytest.approx(best.bound * 300 / seen, rel=1e-6)
    assert f"q(u) from {seen}" in method.notes[0] and method.bound_of_all_rows is None


def test_the_registry_knows_it():
    assert METHODS["collapsed"] is Collapsed
