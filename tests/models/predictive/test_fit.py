"""Predictions that are calibrated and see neighbours, on data whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from svgp import kernels, likelihoods
from svgp.models import SVGP, Predictive, fit_predictive
from svgp.models.collapsed import CollapsedBound
from svgp.models.predictive import Sites, SparseRows, fit
from svgp.models.predictive.calibration import Calibration
from svgp.models.predictive.cavities import cavities
from svgp.models.predictive.fit import _best, _errs, _without_twin, learnt_numbers
from svgp.models.predictive.left_out import LeftOut, Verdict
from svgp.models.predictive.tails import fit_shape
from svgp.models.predictive.taken_out import find_posterior, related
from svgp.runs.findings import on_neighbours

RNG = np.random.default_rng(7)
N = 1200
X, NEW = RNG.uniform(0, 10, (N, 1)), RNG.uniform(0, 10, (600, 1))


def wiggly(X):
    return np.sin(6.0 * X) + 0.5 * np.cos(2.0 * X)


def trained(Y, points=8, noise=0.1, lengthscale=0.6, likelihood=None):
    """The best q(u) of a model with few points for its lengthscale."""
    Z = np.linspace(0, 10, points)[:, None]
    model = SVGP(
        kernels.Matern32(1.0, lengthscale), likelihood or likelihoods.Gaussian(noise), Z, num_data=len(Y),
        q_mean=np.zeros((Y.shape[1], points)),
    )  # fmt: skip
    if likelihood is None:
        bound = CollapsedBound(model, X[: len(Y)], Y)
        bound.assign(bound.posterior()[0])
    return model


def mean_log_density(predictive, Y):
    return float(np.mean(predictive.likelihood.predict_log_density(*predictive.latent(NEW), Y)))


def coverage(predictive, Y, level):
    latent, tail = predictive.latent(NEW), 0.5 - level / 2
    ends = np.asarray(predictive.likelihood.predict_quantiles(*latent, [tail, 1 - tail]))
    return float(np.mean((ends[..., 0] <= Y) & (ends[..., 1] >= Y)))


@pytest.fixture(scope="module")
def rough():
    """A function that eight points cannot follow, seen through little noise."""
    Y = wiggly(X) + 0.05 * RNG.standard_normal((N, 1))
    return trained(Y), Y, wiggly(NEW) + 0.05 * RNG.standard_normal((600, 1))


def test_neighbours_explain_what_the_points_cannot(rough):
    model, Y, new = rough
    alone, helped = (fit_predictive(model, X, Y, neighbours=count) for count in (0, 12))
    assert helped.summary["neighbours"] == 12 and alone.neighbours is None
    errors = [np.sqrt(np.mean((p.latent(NEW).mean - new) ** 2)) for p in (Predictive(model), alone, helped)]
    assert errors[0] == errors[1] > 0.3  # calibration does not move the mean
    assert errors[2] < 0.08  # the noise alone is 0.05
    assert helped.summary["jointly"]  # q(u) as it was is wrong at the points, where R is zero
    found = [mean_log_density(p, new) for p in (Predictive(model), alone, helped)]
    assert found[0] < found[1] + 0.01 and found[1] + 1.0 < found[2]
    # What leaving rows out promised is what new rows get.
    assert helped.summary["log_density"] == pytest.approx(found[2], abs=0.1)
    for level in (0.5, 0.95):
        assert coverage(helped, new, level) == pytest.approx(
            level, abs=4 * np.sqrt(level * (1 - level) / 600)
        )


def test_neighbours_that_leave_a_few_rows_far_off_are_not_taken(rough, monkeypatch):
    model, Y, _ = rough
    judge = LeftOut.judge

    def with_outliers(self, calibrate):
        found = judge(self, calibrate)
        return found if self.rows is None else found._replace(squares=10.0 + found.squares)

    monkeypatch.setattr(LeftOut, "judge", with_outliers)
    assert fit_predictive(model, X, Y, neighbours=12).neighbours is None


def test_a_kernel_that_learnt_more_numbers_than_it_gained_nats_is_not_taken(rough, monkeypatch):
    model, Y, _ = rough
    own = related(model, likelihood=likelihoods.Gaussian(0.0025))
    find_posterior(own, X, Y, 0)
    found = fit_predictive(model, X, Y, neighbours=12, own=own)
    assert found.summary["jointly"] and found.neighbours.model is own
    monkeypatch.setattr(fit, "learnt_numbers", lambda of: 130)
    fewer = fit_predictive(model, X, Y, neighbours=12, own=own).summary["log_density"]
    assert fewer == pytest.approx(found.summary["log_density"] - 120 / N, abs=1e-12)
    monkeypatch.setattr(fit, "learnt_numbers", lambda of: int(20 * N))  # as if
    refused = fit_predictive(model, X, Y, neighbours=12, own=own)
    assert refused.neighbours is None or not refused.summary["jointly"]
    # Rows that it was not fitted to do not flatter it.
    assert fit_predictive(model, X, Y, neighbours=12, own=own, unseen=np.arange(0, N, 4)).summary["jointly"]


def test_what_is_learnt_are_the_numbers_of_kernel_noise_and_mean():
    kernel = kernels.Matern32(1.0, np.ones(5))
    model = SVGP(kernel, likelihoods.Gaussian(0.1), np.zeros((3, 5)), num_data=9)
    assert learnt_numbers(model) == 1 + 5 + 1


def test_a_difference_of_squared_errors_must_be_more_than_chance():
    rng = np.random.default_rng(1)
    least = rng.chisquare(1, 1000)
    assert _errs(1.05 * least, least) and not _errs(1.01 * least, least)
    assert not _errs(least + rng.permutation(np.repeat([-3.0, 3.1], 500)), least)
    assert not _errs(None, None) and not _errs(least, least)
    # By some percent, and by chance: one and a half standard errors.
    wide = rng.permutation(np.resize([-1.0, 1.0], 1000)) * 0.04 / 1.5 * np.sqrt(1000) * np.mean(least)
    assert not _errs(least + wide + 0.04 * np.mean(least), least)
    # One row that outweighs all others.
    far = least + np.where(np.arange(1000) == 7, 300.0 * np.mean(least), 0.0)
    assert _errs(far, least)


@pytest.mark.parametrize("unseen", [None, np.arange(150)])
def test_where_points_lie_at_most_rows_these_do_not_tell_the_residual(unseen):
    """Of a function far rougher than the kernel says; rows that no point was fitted to do tell."""
    Y = wiggly(7.0 * X[:150])
    rows = X[:150]
    model = SVGP(
        kernels.Matern32(1.0, 1.0),
        likelihoods.Gaussian(0.01),
        rows[:100],
        num_data=150,
        q_mean=np.zeros((1, 100)),
    )
    bound = CollapsedBound(model, rows, Y)
    bound.assign(bound.posterior()[0])
    found = fit_predictive(model, rows, Y, unseen=unseen).calibration
    assert found.noise[0] != 1.0
    assert (found.residual[0] == 1.0) == (unseen is None)


def test_a_gain_that_a_few_rows_make_is_none_where_errors_cannot_be_compared():
    alone = np.random.default_rng(1).standard_normal(1000)

    def taken(gain):
        found = [Verdict(Calibration.none(1), np.mean(x), x, None, None, x) for x in (alone, alone + gain)]
        return _best(found, 1000) == 1

    few = np.full(1000, -0.1)
    few[:2] = 1e3
    assert np.mean(few) > 1.0 and not taken(few)
    assert taken(np.full(1000, 0.05)) and taken(few.clip(-0.1, 1.0) + 0.15)
    assert not taken(np.where(np.arange(1000) == 7, np.nan, 0.5))


@pytest.mark.parametrize(("larger", "taken"), [(0.03, 1), (0.3, 2)])
def test_of_two_ways_with_errors_alike_but_for_chance_the_higher_density_is_taken(larger, taken):
    """Those of the first are 3% larger in the mean, and by half of a standard error, or by five."""
    rng = np.random.default_rng(2)
    least, alone = rng.exponential(size=1000), rng.standard_normal(1000) - 1.0
    more = least + larger + 2.0 * rng.permutation(np.linspace(-1.0, 1.0, 1000))
    densities = (alone, alone + 0.5, alone + 0.4)
    pairs = zip(densities, (2.0 * least, more, least), strict=True)
    found = [Verdict(Calibration.none(1), np.mean(x), x, None, squares, x) for x, squares in pairs]
    assert _best(found, 1000) == taken


def test_neighbours_that_do_not_help_are_left_out():
    Y = RNG.standard_normal((N, 1))
    predictive = fit_predictive(trained(Y, noise=1.0), X, Y, neighbours=8)
    assert predictive.neighbours is None and predictive.summary["neighbours"] == 0
    assert predictive.summary["neighbours_asked"] == 8


def test_a_model_that_is_right_stays_as_it_is():
    Y = RNG.standard_normal((N, 1)) * 0.5
    model = trained(Y, noise=0.25, lengthscale=5.0)
    predictive = fit_predictive(model, X, Y)
    assert predictive.likelihood is model.likelihood and predictive.calibration.residual[0] == 1.0
    plain, found = Predictive(model).latent(NEW), predictive.latent(NEW)
    np.testing.assert_array_equal(plain.variance, found.variance)


@pytest.mark.parametrize("noise", [0.02, 4.0])
def test_a_wrong_noise_is_mended(noise):
    Y, new = 0.5 * RNG.standard_normal((N, 1)), 0.5 * RNG.standard_normal((600, 1))
    predictive = fit_predictive(trained(Y, noise=noise, lengthscale=5.0), X, Y)
    mean, variance = predictive.likelihood.predict_mean_and_var(*predictive.latent(NEW))
    assert np.mean(variance) == pytest.approx(0.25, rel=0.15)
    assert coverage(predictive, new, 0.95) == pytest.approx(0.95, abs=0.04)


def test_errors_of_two_kinds_get_a_shape_with_both():
    def errors(count):
        return RNG.standard_normal((count, 1)) * np.where(RNG.uniform(size=(count, 1)) < 0.8, 0.02, 1.0)

    Y, new = errors(N), errors(600)
    model = trained(Y, noise=0.2, lengthscale=5.0)
    predictive = fit_predictive(model, X, Y)
    assert coverage(Predictive(model), new, 0.5) > 0.75
    assert coverage(predictive, new, 0.5) == pytest.approx(0.5, abs=0.08)
    assert coverage(predictive, new, 0.95) == pytest.approx(0.95, abs=0.04)
    assert mean_log_density(predictive, new) > mean_log_density(Predictive(model), new) + 0.5
    assert np.std(new) == pytest.approx(
        float(np.mean(predictive.likelihood.predict_mean_and_var(*predictive.latent(NEW))[1])) ** 0.5, rel=0.3
    )


def test_a_shape_has_the_quantiles_of_what_it_was_fitted_to():
    z = RNG.standard_t(2.0, 4000)
    shape = fit_shape(z)
    from svgp.likelihoods.scale_mixture import standard_quantile

    for level in (0.75, 0.95, 0.975):
        assert standard_quantile(level, *shape) == pytest.approx(
            np.quantile(np.abs(z), 2 * level - 1), rel=0.1
        )
    normal = fit_shape(RNG.standard_normal(4000))
    assert standard_quantile(0.975, *normal) == pytest.approx(ndtri(0.975), rel=0.05)
    assert fit_shape(np.zeros(5)).scales.tolist() == [1.0]


def test_each_output_has_its_own_calibration():
    Y = np.hstack([0.5 * RNG.standard_normal((N, 1)), 0.05 * RNG.standard_normal((N, 1))])
    predictive = fit_predictive(trained(Y, noise=0.1, lengthscale=5.0), X, Y, neighbours=4)
    _, variance = predictive.likelihood.predict_mean_and_var(*predictive.latent(NEW))
    np.testing.assert_allclose(np.mean(variance, axis=0), [0.25, 0.0025], rtol=0.2)


def test_what_is_saved_comes_back(rough):
    model, Y, _ = rough
    predictive = fit_predictive(model, X, Y, neighbours=5)
    assert predictive.neighbours is not None
    again = Predictive.of(model, predictive.arrays(), predictive.summary, predictive.neighbours.model)
    for got, expected in zip(again.latent(NEW), predictive.latent(NEW), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert predictive.arrays()["rows.noise"].shape == (1, 1)  # one number for all rows


def test_classes_with_neighbours():
    labels = (wiggly(X) + 0.1 * RNG.standard_normal((N, 1)) > 0.0).astype(float)
    new = (wiggly(NEW) > 0.0).astype(float)
    model = trained(labels, points=6, likelihood=likelihoods.Bernoulli())
    helped = fit_predictive(model, X, labels, neighbours=16)
    assert helped.summary["neighbours"] == 16
    assert mean_log_density(helped, new) > mean_log_density(Predictive(model), new) + 0.2
    # Rows of which only the sites are known, as an update has them, are neighbours like the others.
    half, parts = N // 2, SparseRows(model).parts(X[N // 2 :])
    known = cavities(model.likelihood, parts, labels[half:])
    sites = Sites(X[half:], known.target, known.noise)
    again = fit_predictive(model, X[:half], labels[:half], neighbours=16, sites=sites).neighbours
    for name in ("X", "residual", "noise"):
        np.testing.assert_allclose(getattr(again, name), getattr(helped.neighbours, name), rtol=1e-8)


def test_why_a_model_has_no_neighbours_is_said():
    Y = np.hstack([wiggly(X), -wiggly(X)])[:200]
    kernel = kernels.Separate([kernels.Matern32(1.0, 0.6), kernels.Matern32(1.0, 0.5)])
    model = SVGP(kernel, likelihoods.Gaussian(0.1), X[:5], num_latent=2, num_data=200)
    summary = fit_predictive(model, X[:200], Y, neighbours="auto").summary
    assert on_neighbours(summary, 0, 0)[0].endswith("neighbours need one kernel for all latent GPs")


def test_rows_that_stand_there_twice_do_not_speak_for_the_others(rough, monkeypatch):
    Y = rough[1]
    twice = np.concatenate([X[:150], X[:150], X[150:300]]), np.concatenate([Y[:150], Y[:150], Y[150:300]])
    assert _without_twin(twice[0], np.array([0, 149, 150, 299])) is None  # none of these is single
    single = _without_twin(twice[0], np.arange(450))
    np.testing.assert_array_equal(single, np.arange(450) >= 300)
    judge, seen = LeftOut.judge, []

    def judged(self, calibrate):
        found = judge(self, calibrate)
        seen.append((self.single, float(np.mean(found.squares)), self.error))
        return found

    monkeypatch.setattr(LeftOut, "judge", judged)
    fit_predictive(trained(twice[1]), *twice, calibrate=False, neighbours=0)  # no neighbours, no verdict
    fit_predictive(trained(twice[1]), *twice, calibrate=False, neighbours=4)
    verdicts = [(error, by) for own, error, by in seen if own is not None]
    np.testing.assert_array_equal(seen[-2][0], single)
    alone = verdicts[0]
    assert alone[0] == pytest.approx(float(np.mean(alone[1][single] ** 2)))
    assert alone[0] != pytest.approx(float(np.mean(alone[1] ** 2)))


@pytest.mark.parametrize("rows", [1, 20])
def test_too_few_rows_say_nothing(rows):
    Y = RNG.standard_normal((rows, 1))
    model = trained(Y, points=3)
    assert fit_predictive(model, X[:rows], Y, neighbours=8).likelihood is model.likelihood


def test_as_many_neighbours_are_taken_as_pay(monkeypatch):
    monkeypatch.setattr("svgp.models.predictive.fit.COUNTS", (4, 8, 16))
    rng = np.random.default_rng(4)
    inputs, new = rng.uniform(-1, 1, (600, 6)), rng.uniform(-1, 1, (200, 6))

    def function(X):
        return np.sin(X @ np.arange(1.0, 7.0)[:, None] / 3.0)

    def taken(noise):
        Y = function(inputs) + np.sqrt(noise) * rng.standard_normal((600, 1))
        model = SVGP(
            kernels.SquaredExponential(1.0, 1.5), likelihoods.Gaussian(noise), inputs[:3], num_data=600
        )
        CollapsedBound(model, inputs, Y).assign(CollapsedBound(model, inputs, Y).posterior()[0])
        given, auto = (fit_predictive(model, inputs, Y, neighbours=n) for n in (4, "auto"))
        errors = [float(np.mean((p.latent(new).mean - function(new)) ** 2)) for p in (given, auto)]
        return auto.summary["neighbours"], errors[1] / errors[0]

    count, error = taken(1e-4)
    assert count == 16 and error < 0.7
    assert taken(1e4)[0] in (0, 4)  # where there is nothing to see, no more are looked at
