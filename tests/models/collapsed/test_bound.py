"""The collapsed bound against a dense implementation, the SVGP's own ELBO, and exact GP regression."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import tensorflow as tf

from svgp.errors import ModelError, NumericalError
from svgp.kernels import Constant, Linear, Matern32, SquaredExponential, White
from svgp.likelihoods import Gaussian, StudentT
from svgp.means import Constant as ConstantMean
from svgp.means import Linear as LinearMean
from svgp.means import Mean
from svgp.models import SVGP
from svgp.models.certificate import certificate
from svgp.models.collapsed import panels as collapsed_panels
from svgp.models.collapsed.bound import CollapsedBound, Stopped
from svgp.models.collapsed.statistics import Frame
from svgp.rows import ArrayRows

FORMS = [("standard", "cheap"), ("standard", "whitened"), ("tight", "auto")]
KERNELS = {
    "matern": lambda: Matern32(1.3, [1.0, 2.0, 1.5]),
    "sum": lambda: SquaredExponential(0.7, 1.2) + Linear(0.3) * Constant(0.5) + White(0.05),
}


def make_data(rows=70, inducing=9, outputs=2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, 3))
    Y = np.stack([np.sin(X.sum(1)), X[:, 0] ** 2], 1)[:, :outputs] + 0.1 * rng.normal(size=(rows, outputs))
    return X, Y, rng.normal(size=(inducing, 3))


def make_model(kernel, Z, *, noise=0.05, outputs=2, mean=None, **options):
    likelihood = Gaussian(noise)
    return SVGP(kernel, likelihood, Z, mean=mean, num_latent=outputs, **options)


def dense_bound(model, X, Y, tight):
    """The same number written naively, differentiable by TensorFlow."""
    kernel, Z, s2 = (
        model.kernel,
        tf.convert_to_tensor(model.Z),
        tf.convert_to_tensor(model.likelihood.variance),
    )
    Kuu = kernel.K(Z) + model.jitter * tf.eye(len(Z), dtype=tf.float64)
    Kuf = kernel.K(Z, X)
    Q = tf.matmul(Kuf, tf.linalg.solve(Kuu, Kuf), transpose_a=True)
    d = kernel.K_diag(X) - tf.linalg.diag_part(Q)
    r, total = Y - model.mean(X), tf.zeros([], tf.float64)
    for p, noise in enumerate(tf.unstack(tf.broadcast_to(s2, [Y.shape[1]]))):
        C = Q + noise * tf.eye(len(X), dtype=tf.float64)
        quadratic = tf.reduce_sum(r[:, p] * tf.linalg.solve(C, r[:, p : p + 1])[:, 0])
        price = tf.math.log1p(d / noise) if tight else d / noise
        total -= 0.5 * (quadratic + tf.linalg.logdet(C) + len(X) * np.log(2.0 * np.pi) + tf.reduce_sum(price))
    return total


NOISES = {"shared": 0.05, "each its own": [0.05, 0.4]}


@cache
def evaluated(kernel, noise, bound, form):
    """A bound and its evaluation: two tests look at it, and graphs of a sum take a second."""
    X, Y, Z = make_data()
    mean = LinearMean(np.full((3, 2), 0.05), [0.1, -0.1])
    model = make_model(KERNELS[kernel](), Z, noise=NOISES[noise], mean=mean)
    collapsed = CollapsedBound(model, X, Y, bound=bound, form=form, chunk=17)
    return collapsed, collapsed.evaluate()


@pytest.mark.parametrize(("bound", "form"), FORMS)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_value_and_gradient_equal_autodiff_of_the_dense_bound(kernel, noise, bound, form):
    (X, Y, _), (collapsed, evaluation) = make_data(), evaluated(kernel, noise, bound, form)
    with tf.GradientTape() as tape:
        value = dense_bound(collapsed.model, tf.constant(X), tf.constant(Y), bound == "tight")
    wanted = tape.gradient(value, collapsed.variables)
    assert evaluation.form == ("cheap" if form == "cheap" else "whitened")
    np.testing.assert_allclose(evaluation.bound, value.numpy(), rtol=1e-11)
    for mine, theirs in zip(evaluation.gradients, wanted, strict=True):
        theirs = tf.convert_to_tensor(theirs).numpy()
        np.testing.assert_allclose(mine, theirs, atol=1e-9 * np.abs(theirs).max())


@pytest.mark.parametrize(("bound", "form"), FORMS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_the_order_of_the_rows_in_memory_does_not_matter(kernel, bound, form):
    """Columns picked from a table are column-major."""
    collapsed, usual = evaluated(kernel, "shared", bound, form)
    X, Y = (np.asfortranarray(array) for array in make_data()[:2])
    other = CollapsedBound(collapsed.model, X, Y, bound=bound, form=form, chunk=17).evaluate()
    np.testing.assert_allclose(other.bound, usual.bound, rtol=1e-12)
    for one, two in zip(other.gradients, usual.gradients, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("bound", "form"), FORMS)
def test_gradient_equals_finite_differences(bound, form):
    X, Y, Z = make_data(outputs=1)
    model = make_model(Matern32(1.3, [1.0, 2.0, 1.5]), Z, outputs=1, mean=ConstantMean(0.1))
    collapsed = CollapsedBound(model, X, Y, bound=bound, form=form)
    gradients = collapsed.evaluate().gradients
    rng = np.random.default_rng(1)
    directions = [rng.normal(size=v.shape) for v in collapsed.variables]
    start = [v.numpy() for v in collapsed.variables]
    values = {}
    step = 1e-3
    for k in (-3, -2, -1, 1, 2, 3):  # six points: an error of step^6, about 1e-18
        for v, x, p in zip(collapsed.variables, start, directions, strict=True):
            v.assign(x + k * step * p)
        values[k] = collapsed.evaluate().bound
    slope = (45 * (values[1] - values[-1]) - 9 * (values[2] - values[-2]) + values[3] - values[-3]) / (
        60 * step
    )
    mine = sum(float(np.sum(g * p)) for g, p in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(mine, slope, rtol=1e-8)


@pytest.mark.parametrize("bound", ["standard", "tight"])
@pytest.mark.parametrize("whiten", [False, True])
def test_the_svgp_at_the_optimal_posterior_has_the_collapsed_bound_as_elbo(bound, whiten):
    X, Y, Z = make_data()
    model = make_model(Matern32(1.3, [1.0, 2.0, 1.5]), Z, bound=bound, whiten=whiten, num_data=len(X))
    evaluation = CollapsedBound(model, X, Y).evaluate()
    CollapsedBound(model, X, Y).assign(evaluation.posterior)
    parts = model.elbo_parts((X, Y))
    np.testing.assert_allclose(parts.elbo.numpy(), evaluation.bound, rtol=1e-10)
    np.testing.assert_allclose(parts.kl.numpy(), evaluation.kl, rtol=1e-9)
    with tf.GradientTape() as tape:
        loss = model.elbo((X, Y))
    for gradient in tape.gradient(loss, [model.q_mean, model.q_sqrt]):
        np.testing.assert_allclose(gradient, 0.0, atol=1e-6)  # q(u) is at its optimum
    root = model.q_sqrt.numpy()
    assert np.array_equal(root, np.tril(root))


@pytest.mark.parametrize("kernel", [Matern32, SquaredExponential])
@pytest.mark.parametrize(("bound", "form"), [("standard", "cheap"), ("tight", "whitened")])
def test_panels_that_are_kept_change_no_bit(monkeypatch, kernel, bound, form):
    X, Y, Z = make_data()
    model = make_model(kernel(1.3, [0.7, 1.9, 1.1]), Z)
    chunk = 10
    panel = 2 * 8 * len(Z) * chunk  # bytes
    found = []
    for panels in (0, 3, 1000):
        room = panels * panel
        monkeypatch.setattr(collapsed_panels, "kept_bytes", lambda room=room: room)
        collapsed = CollapsedBound(model, X, Y, bound=bound, form=form, chunk=chunk)
        collapsed.evaluate()
        model.likelihood.variance.assign(0.07)
        evaluation = collapsed.evaluate()  # not with what the first evaluation kept
        model.likelihood.variance.assign(0.05)
        every = collapsed._work.panels.panels
        assert sum(collapsed._work.panels.kept(rows) is not None for rows in every) == min(panels, len(every))
        found.append([np.asarray(evaluation.bound), *evaluation.gradients])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_mean_function_without_variables_is_no_constant():
    class Wave(Mean):
        def __call__(self, X):
            return tf.sin(tf.cast(X, tf.float64)[:, :1]) * tf.ones([1, 2], tf.float64)

    X, Y, Z = make_data(rows=20, inducing=4)
    model = make_model(KERNELS["matern"](), Z, mean=Wave())
    found = CollapsedBound(model, X, Y).evaluate().bound
    assert found == pytest.approx(float(dense_bound(model, X, Y, tight=False)), rel=1e-9)


def test_statistics_of_two_machines_add_up():
    X, Y, Z = make_data()
    model = make_model(Matern32(1.3, 1.5), Z, bound="tight")
    whole = CollapsedBound(model, X, Y)
    posterior, value = whole.posterior()
    sums = whole.statistics(posterior.frame)
    assert value.weighted is None and value.log_ratio == sums.log_ratio  # enough for q and the bound
    halves = [CollapsedBound(model, X[s], Y[s]) for s in (slice(0, 30), slice(30, None))]
    total = halves[0].statistics(posterior.frame) + halves[1].statistics(posterior.frame)
    for name in ("gram", "weighted", "projection", "rows", "prior", "squares", "log_ratio", "shrinkage"):
        np.testing.assert_allclose(getattr(total, name), getattr(sums, name), rtol=1e-12, atol=1e-12)


def test_a_pass_in_blocks_may_have_longer_panels_than_one_over_all_rows(monkeypatch):
    monkeypatch.setattr("svgp.models.collapsed.bound.SHUFFLED_ROWS", 64)
    X, Y, Z = make_data(rows=90)
    bound = CollapsedBound(make_model(Matern32(1.3, 1.5), Z), X, Y, chunk=64)  # 45 rows a panel, or 64 and 26
    expected, found = bound.posterior()[0], bound.posterior(lambda: True)[0]
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-9, atol=1e-12)


def near_noiseless(jitter=1e-6):
    """As the bike data are: duplicates, a smooth kernel, noise of 1e-6 of the target's variance."""
    rng = np.random.default_rng(3)
    X = rng.uniform(-1.5, 1.5, size=(3000, 2))
    X[1500:] = X[:1500]
    Y = np.sin(X[:, :1]) * np.cos(X[:, 1:]) + 1e-3 * rng.normal(size=(3000, 1))
    Z = X[:120].copy()
    Z[60:] = Z[:60] + 1e-5
    return make_model(SquaredExponential(1.0, 2.0), Z, noise=2e-6, outputs=1, jitter=jitter), X, Y


def test_near_noiseless_data_take_the_whitened_form_and_keep_their_digits():
    model, X, Y = near_noiseless()
    evaluation = CollapsedBound(model, X, Y).evaluate()
    assert evaluation.form == "whitened"
    assert evaluation.bound / len(X) > 4.0  # log N(e | 0, 1e-6) is 5.5 nats a row
    model.num_data = len(X)
    CollapsedBound(model, X, Y).assign(evaluation.posterior)
    # The SVGP's own ELBO goes another way: A from L^-1, marginals row by row.
    np.testing.assert_allclose(model.elbo((X, Y)).numpy(), evaluation.bound, atol=1e-4 * len(X))
    again = CollapsedBound(model, X[::-1].copy(), Y[::-1].copy(), chunk=77).evaluate()
    np.testing.assert_allclose(again.bound, evaluation.bound, atol=1e-5 * len(X))
    for one, other in zip(evaluation.gradients, again.gradients, strict=True):
        assert np.all(np.isfinite(one))
        np.testing.assert_allclose(one, other, atol=1e-3 * max(1.0, np.abs(one).max()))


def test_the_cheap_form_is_refused_by_its_error_estimate_before_it_fails():
    model, X, Y = near_noiseless()
    honest = CollapsedBound(model, X, Y, form="whitened").evaluate().bound
    try:
        cheap = CollapsedBound(model, X, Y, form="cheap").evaluate().bound
    except NumericalError:
        cheap = np.nan
    assert not abs(cheap - honest) < 1e-3  # nats of all rows: what auto allows
    frame = Frame(np.eye(2), np.diag([1.0, 1e3]), noise=np.array([0.01]), jitter=0.0)
    assert frame.cheap_error(1e4) == pytest.approx(np.finfo(float).eps * 1e4 * (1e6 + 1) / 0.01)


def test_well_conditioned_problems_take_the_cheap_form():
    X, Y, Z = make_data()
    assert CollapsedBound(make_model(Matern32(1.0, 0.5), Z), X, Y).evaluate().form == "cheap"


def test_a_deadline_is_read_between_panels_and_changes_nothing():
    X, Y, Z = make_data()
    model = make_model(Matern32(1.0, 1.0), Z)
    before = model.q_mean.numpy()
    calls = iter([True, True, False])
    with pytest.raises(Stopped):
        CollapsedBound(model, X, Y, chunk=4).evaluate(lambda: next(calls))
    assert np.array_equal(before, model.q_mean.numpy())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"likelihood": StudentT(1.0, 4.0)}, "Gaussian likelihood, got StudentT"),
        ({"q_diag": True}, "posterior.type: full"),
        ({"num_latent": 1}, "1 latent GPs and the data 2 outputs"),
        ({"kernel": Matern32([1.0, 2.0])}, "one kernel for all outputs"),
    ],
)
def test_models_that_do_not_fit_are_refused(change, message):
    X, Y, Z = make_data()
    parts = {"kernel": Matern32(), "likelihood": Gaussian(), "Z": Z, "num_latent": 2, **change}
    with pytest.raises(ModelError, match=message):
        CollapsedBound(SVGP(**parts), X, Y)


def test_parameters_that_are_not_finite_are_a_numerical_error():
    X, Y, Z = make_data()
    model = make_model(Matern32(), Z)
    model.Z.assign(np.full(Z.shape, np.nan))
    with pytest.raises(NumericalError, match="Kuu"):
        CollapsedBound(model, X, Y).evaluate()


def exact_evidence(model, X, Y):
    K = model.kernel.K(X).numpy() + model.likelihood.variance.numpy() * np.eye(len(X))
    L = np.linalg.cholesky(K)
    half = np.linalg.solve(L, Y - model.mean(X).numpy())
    return -0.5 * np.sum(half**2) - Y.shape[1] * (np.log(np.diag(L)).sum() + 0.5 * len(X) * np.log(2 * np.pi))


def test_bounds_are_in_order_on_100_random_problems(request):
    # standard <= tight <= exact <= upper (Titsias 2009, 2014, 2025), and CG tightens the bracket.
    request.addfinalizer(lambda: tf.config.run_functions_eagerly(False))
    rng = np.random.default_rng(0)
    X, _, Z = make_data(rows=40, inducing=6)
    model = make_model(SquaredExponential(1.0, [1.0] * 3), Z, outputs=1)
    tight = CollapsedBound(model, X, np.zeros((40, 1)), bound="tight")
    standard = CollapsedBound(model, X, np.zeros((40, 1)), bound="standard")
    for number in range(100):
        X[:] = rng.normal(size=X.shape) * rng.uniform(0.3, 3.0)
        model.Z.assign(X[rng.permutation(40)[:6]] + 0.1 * rng.normal(size=Z.shape))
        model.kernel.variance.assign(np.exp(rng.normal()))
        model.kernel.lengthscales.assign(np.exp(rng.normal(size=3)))
        model.likelihood.variance.assign(1e-5 + np.exp(2.0 * rng.normal() - 2.0))
        K = model.kernel.K(X).numpy() + 0.1 * np.eye(40)
        Y = np.linalg.cholesky(K) @ rng.normal(size=(40, 1))
        tight.rows = standard.rows = tight._own = standard._own = ArrayRows(X, Y)
        low, high, exact = standard.evaluate().bound, tight.evaluate().bound, exact_evidence(model, X, Y)
        slack = 1e-9 * max(1.0, abs(exact))
        assert low <= high + slack and high <= exact + slack
        # Eagerly, because each certificate would build graphs that it uses once.
        tf.config.run_functions_eagerly(True)
        free = certificate(model, X, Y, steps=0)
        assert free.elbo == pytest.approx(low, rel=1e-6)
        small = 1e-6 * abs(exact) + slack  # Woodbury's identity loses digits where the noise is small
        assert high - small <= free.lower <= exact + small and exact <= free.upper + small
        if number % 10 == 0:
            better = certificate(model, X, Y, steps=4, tolerance=0.0)
            assert free.lower <= better.lower + slack <= exact + small + slack
            assert exact - small <= better.upper <= free.upper + slack
        tf.config.run_functions_eagerly(False)
