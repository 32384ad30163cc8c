"""The SVGP's bound and predictions against exact GP regression, finite differences and its own parts."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import tensorflow as tf

from svgp import kernels, likelihoods, linalg, means
from svgp.errors import ModelError
from svgp.models import SVGP
from svgp.parameters import named_variables

LIKELIHOODS = ["gaussian", "student_t", "probit", "logit", "poisson"]
STRUCTURES = [
    {"latents": 1},
    {"latents": 3},
    {"latents": 3, "separate": True},
    {"latents": 1, "q_diag": True},
    {"latents": 3, "separate": True, "q_diag": True},
]


def regression(rows=25, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2, 2, (rows, 2))
    return X, np.sin(3 * X[:, :1]) + 0.3 * rng.normal(size=(rows, 1))


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("bound", ["standard", "tight"])
@pytest.mark.parametrize("kernel", [kernels.SquaredExponential, kernels.Matern32])
def test_with_all_points_inducing_the_bound_is_the_exact_evidence(
    whiten, bound, kernel, evidence, set_optimal_q
):
    X, Y = regression()
    model = SVGP(
        kernel(1.3, [0.7, 1.1]), likelihoods.Gaussian(0.09), X, whiten=whiten, bound=bound, jitter=1e-9
    )
    set_optimal_q(model, X, Y[:, 0])
    exact = evidence(np.asarray(model.kernel.K(X)), Y, 0.09)
    np.testing.assert_allclose(model.elbo((X, Y)), exact, rtol=1e-6)


@pytest.mark.parametrize("whiten", [False, True])
def test_the_bound_never_exceeds_the_evidence(whiten, evidence, set_optimal_q):
    """100 random problems, each at a random q(u) and at the best one: standard <= tight <= evidence."""
    rng = np.random.default_rng(int(whiten))
    kernel, noise = kernels.Matern52(1.0, np.ones(2)), likelihoods.Gaussian(0.1)
    Z = tf.Variable(np.zeros((4, 2)))
    models = [
        SVGP(kernel, noise, Z, whiten=whiten, bound=bound, jitter=1e-8) for bound in ("standard", "tight")
    ]

    def values(X, Y):
        return kernel.K(X), *(model.elbo((X, Y)) for model in models)

    bounds = tf.function(values, autograph=False)
    for problem in range(50):  # for each parametrisation
        X, Y = rng.normal(size=(12, 2)), rng.normal(size=(12, 1))
        kernel.lengthscales.assign(np.exp(rng.uniform(-2, 2, 2)))
        noise.variance.assign(np.exp(rng.uniform(-6, 1)))
        Z.assign(X[:4] if problem % 2 else rng.normal(size=(4, 2)))
        models[0].q_mean.assign(rng.normal(size=(1, 4)))
        models[0].q_sqrt.assign(np.tril(rng.normal(size=(1, 4, 4))))
        for best in (False, True):
            if best:
                set_optimal_q(models[0], X, Y[:, 0])
            models[1].q_mean.assign(models[0].q_mean)
            models[1].q_sqrt.assign(models[0].q_sqrt)
            K, standard, tight = (x.numpy() for x in bounds(X, Y))
            exact = evidence(K, Y, float(tf.convert_to_tensor(noise.variance)))
            assert standard <= tight + 1e-9 * abs(tight)
            assert tight <= exact + 1e-9 * abs(exact)


@pytest.mark.parametrize("bound", ["standard", "tight"])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_gradient_is_that_of_finite_differences(likelihood, whiten, bound, small_model, slopes):
    # For each bound and parametrisation the five likelihoods go through the five structures.
    case = LIKELIHOODS.index(likelihood) + 2 * whiten + 3 * (bound == "tight")
    structure = STRUCTURES[case % len(STRUCTURES)]
    mean = ("zero", "constant", "linear")[case % 3]
    model, data = small_model(likelihood, whiten=whiten, bound=bound, mean=mean, **structure)
    for name, (gradient, difference) in slopes(lambda: model.elbo(data), named_variables(model)).items():
        np.testing.assert_allclose(gradient, difference, rtol=2e-7, atol=2e-7, err_msg=name)


@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
@pytest.mark.parametrize("whiten", [False, True])
def test_both_backends_give_one_gradient(structure, whiten, small_model):
    """The host's, in all these structures, is held against finite differences above."""
    model, data = small_model(whiten=whiten, mean="linear", bound="tight", **structure)
    found = {}
    for backend in ("host", "tensorflow"):
        with linalg.backend(backend), tf.GradientTape() as tape:
            value = model.elbo(data)
        found[backend] = {"elbo": value, **tape.gradient(value, named_variables(model))}
    for name, expected in found["host"].items():
        np.testing.assert_allclose(found["tensorflow"][name], expected, rtol=1e-9, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("kernel", ["sum", "product", "linear", "white"])
def test_kernels_without_one_lengthscale_have_exact_gradients(kernel, slopes):
    rng = np.random.default_rng(0)
    radial, linear = kernels.Matern12(0.8, [1.0, 2.0]), kernels.Linear([0.5, 0.2])
    made = {
        "sum": lambda: radial + linear + kernels.Constant(0.4),
        "product": lambda: radial * kernels.Matern32(1.2, 0.9),
        "linear": lambda: linear + kernels.White(0.3),
        "white": lambda: radial + kernels.White(0.2),
    }[kernel]()
    root = np.tril(0.1 * rng.normal(size=(5, 5)), -1) + 0.5 * np.eye(5)
    model = SVGP(
        made, likelihoods.Gaussian(0.2), rng.normal(size=(5, 2)), q_mean=rng.normal(size=5), q_sqrt=root
    )
    data = rng.normal(size=(8, 2)), rng.normal(size=8)
    for name, (gradient, difference) in slopes(lambda: model.elbo(data), named_variables(model)).items():
        np.testing.assert_allclose(gradient, difference, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("whiten", [False, True])
def test_graph_and_xla_give_what_eager_gives(whiten, small_model):
    model, data = small_model(latents=3, separate=True, whiten=whiten, bound="tight")
    variables = model.trainable_variables

    def step(X, Y):
        with tf.GradientTape() as tape:
            value = model.elbo((X, Y))
        return value, *tape.gradient(value, variables)

    eager = step(*data)
    with linalg.backend("tensorflow"):
        compiled = tf.function(step, jit_compile=True, autograph=False)(*data)
    unknown = tf.TensorSpec([None, 2], tf.float64), tf.TensorSpec([None, 3], tf.float64)
    graph = tf.function(step, input_signature=unknown, autograph=False)(*data)
    for expected, *others in zip(eager, compiled, graph, strict=True):
        for other in others:
            np.testing.assert_allclose(other, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("structure", STRUCTURES, ids=str)
@pytest.mark.parametrize("whiten", [False, True])
def test_kl_is_that_of_the_bound_and_so_is_its_gradient(structure, whiten, small_model):
    model, data = small_model(whiten=whiten, **structure)
    with tf.GradientTape(persistent=True) as tape:
        alone, within = model.kl(), model.elbo_parts(data).kl
    np.testing.assert_allclose(alone, within, rtol=1e-11)
    variables = [model.Z, model.q_mean, model.q_sqrt, *model.kernel.trainable_variables]
    for variable in variables:
        ours = tape.gradient(alone, variable, unconnected_gradients="zero")
        theirs = tape.gradient(within, variable, unconnected_gradients="zero")
        if variable is model.q_sqrt and not model.q_diag:
            ours = tf.linalg.band_part(ours, -1, 0)
        np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-9)


def test_kl_is_the_textbook_formula(small_model):
    model, _ = small_model(latents=3, separate=True)
    expected = 0.0
    for m, root, K in zip(model.q_mean.numpy(), model.q_sqrt.numpy(), model.Kuu().numpy(), strict=True):
        K, S = K + model.jitter * np.eye(len(K)), root @ root.T
        terms = np.trace(np.linalg.solve(K, S)) + m @ np.linalg.solve(K, m) - len(m)
        expected += 0.5 * (terms + np.linalg.slogdet(K)[1] - np.linalg.slogdet(S)[1])
    np.testing.assert_allclose(model.kl(), expected, rtol=1e-10)


def test_log_determinant_of_the_prior_goes_through_our_own(small_model, monkeypatch):
    module, asked = importlib.import_module("svgp.models.svgp"), []

    def counted(K):
        asked.append(K.shape)
        return linalg.logdet(K)

    monkeypatch.setattr(module, "logdet", counted)
    unwhitened, _ = small_model(latents=3)
    unwhitened.kl()
    assert asked == [[1, 6, 6]]
    small_model(whiten=True)[0].kl()
    assert len(asked) == 1  # a whitened KL has no log|Kuu| in it
    monkeypatch.setattr(module, "logdet", lambda K: tf.zeros(K.shape[:-2], K.dtype))
    exact = 1.5 * float(linalg.logdet(unwhitened.Kuu() + 1e-6 * tf.eye(6, dtype=tf.float64)))
    broken = float(unwhitened.kl())
    monkeypatch.undo()
    np.testing.assert_allclose(unwhitened.kl(), broken + exact)


@pytest.mark.parametrize("bound", ["standard", "tight"])
@pytest.mark.parametrize("likelihood", ["gaussian", "poisson"])
def test_minibatches_average_to_the_whole(likelihood, bound, small_model):
    model, (X, Y) = small_model(likelihood, rows=12, num_data=12, bound=bound)
    batches = [
        model.elbo((X[rows], Y[rows])) for rows in np.split(np.random.default_rng(0).permutation(12), 4)
    ]
    np.testing.assert_allclose(np.mean(batches), model.elbo((X, Y)), rtol=1e-12)
    model.num_data = None
    np.testing.assert_allclose(model.elbo((X, Y)), np.mean(batches), rtol=1e-12)


def test_num_data_keeps_every_digit(small_model):
    model, data = small_model()
    for rows in (2**24 + 1, float(2**24 + 1), 3_000_000_000):
        model.num_data = rows
        parts = model.elbo_parts(data)
        model.num_data = 1
        np.testing.assert_allclose(
            parts.expected_log_likelihood, rows * model.elbo_parts(data).expected_log_likelihood, rtol=1e-15
        )


def test_column_or_vector_targets_are_one(small_model):
    model, (X, Y) = small_model()
    assert model.elbo((X, Y)).numpy() == model.elbo((X, Y[:, 0])).numpy()
    np.testing.assert_array_equal(model.predict_log_density((X, Y)), model.predict_log_density((X, Y[:, 0])))


def test_lists_of_numbers_keep_float64(small_model):
    model, (X, Y) = small_model()
    assert model.elbo((X.tolist(), Y.tolist())).numpy() == model.elbo((X, Y)).numpy()
    np.testing.assert_array_equal(model.predict_y(X.tolist())[0], model.predict_y(X)[0])
    listed = SVGP(model.kernel, model.likelihood, model.Z.numpy().tolist())
    np.testing.assert_array_equal(listed.Z, model.Z)


def test_a_batched_kernel_tells_the_number_of_latents():
    kernel, Z = kernels.Matern32(np.ones(3), np.ones((3, 2))), np.random.default_rng(0).normal(size=(5, 2))
    model = SVGP(kernel, likelihoods.Gaussian(), Z)
    assert model.num_latent == 3 and model.predict_f(Z)[0].shape == [5, 3]
    with pytest.raises(ModelError, match=r"kernel: hyperparameters for \[3\] latent functions.* 2"):
        SVGP(kernel, likelihoods.Gaussian(), Z, q_mean=np.zeros((2, 5)), num_latent=2)


def test_unknown_bound_and_inducing_variables_of_wrong_shape_are_refused():
    kernel, noise = kernels.Matern32(), likelihoods.Gaussian()
    with pytest.raises(ModelError, match="bound 'loose': expected one of standard, tight, ppgpr"):
        SVGP(kernel, noise, np.zeros((3, 2)), bound="loose")
    with pytest.raises(ModelError, match=r"Z has shape \(3,\).*Z\[:, None\]"):
        SVGP(kernel, noise, tf.Variable(np.zeros(3)))


def test_checkpoints_hold_the_whole_model(small_model, tmp_path):
    model, data = small_model(bound="tight", likelihood="student_t", mean="linear")
    other, _ = small_model(bound="tight", likelihood="student_t", mean="linear", seed=5)
    path = tf.train.Checkpoint(model=model).write(str(tmp_path / "model"))
    assert other.elbo(data).numpy() != model.elbo(data).numpy()
    tf.train.Checkpoint(model=other).read(path).assert_consumed()
    assert other.elbo(data).numpy() == model.elbo(data).numpy()


def test_a_function_traces_once_and_sees_later_changes(small_model):
    model, (X, Y) = small_model()
    traces = []

    @tf.function(autograph=False)
    def elbo(X, Y):
        traces.append(1)
        return model.elbo((X, Y))

    X, Y = tf.constant(X), tf.constant(Y)
    before = elbo(X, Y)
    model.q_mean.assign(2.0 * model.q_mean)
    assert elbo(X, Y) != before and len(traces) == 1
    np.testing.assert_allclose(elbo(X, Y), model.elbo((X, Y)), rtol=1e-13)


def test_a_module_owns_its_variables(small_model):
    model, _ = small_model(mean="linear")
    names = {"Z", "q_mean", "q_sqrt", "kernel.variance", "kernel.lengthscales", "likelihood.variance"}
    assert set(named_variables(model)) == names | {"mean.slope", "mean.offset"}
    assert len(model.trainable_variables) == 8


def test_mean_function_shifts_the_targets(small_model):
    model, (X, Y) = small_model(mean="constant")
    shift = model.mean.value.numpy()
    centred, _ = small_model()
    centred.q_mean.assign(model.q_mean)
    centred.mean = means.Zero(1)
    for name, variable in named_variables(centred).items():
        variable.assign(named_variables(model)[name])
    np.testing.assert_allclose(model.elbo((X, Y)), centred.elbo((X, Y - shift)), rtol=1e-13)
