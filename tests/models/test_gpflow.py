"""Bound and gradients equal to those of GPflow, an independent library, at equal parameters."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from svgp.parameters import named_variables

gpflow = pytest.importorskip("gpflow", reason="GPflow, an independent oracle, is not installed")


def positive(value, low=0.0):
    """GPflow's parameter in our parametrisation, low + exp(u), so that gradients compare."""
    import tensorflow_probability as tfp

    tfb = tfp.bijectors
    transform = tfb.Chain([tfb.Shift(np.float64(low)), tfb.Exp()]) if low else tfb.Exp()
    return gpflow.Parameter(np.asarray(value), transform=transform)


def their_likelihood(name, ours):
    if name == "gaussian":
        made = gpflow.likelihoods.Gaussian(0.3)
        made.variance = positive(ours.variance, low=ours.floor)
    elif name == "student_t":
        made = gpflow.likelihoods.StudentT(0.5, 4.0)
        made.scale = positive(ours.scale)
    elif name == "logit":
        made = gpflow.likelihoods.Bernoulli(invlink=tf.sigmoid)
    elif name == "probit":  # GPflow's own is floored at 1e-3
        made = gpflow.likelihoods.Bernoulli(invlink=lambda f: 0.5 * tf.math.erfc(-f / np.sqrt(2.0)))
    else:
        made = gpflow.likelihoods.Poisson()
    return made


def their_kernel(ours):
    kind = getattr(gpflow.kernels, type(ours).__name__)
    variances = np.atleast_1d(tf.convert_to_tensor(ours.variance))
    lengthscales = np.atleast_2d(tf.convert_to_tensor(ours.lengthscales))
    parts = [kind() for _ in variances]
    for part, variance, scales in zip(parts, variances, lengthscales, strict=True):
        part.variance, part.lengthscales = positive(variance), positive(scales)
    return gpflow.kernels.SeparateIndependent(parts) if len(parts) > 1 else parts[0]


def theirs(name, ours, num_latent):
    if ours.separate_points:
        sets = [gpflow.inducing_variables.InducingPoints(Z) for Z in ours.Z.numpy()]
        inducing = gpflow.inducing_variables.SeparateIndependentInducingVariables(sets)
    else:
        inducing = gpflow.inducing_variables.InducingPoints(ours.Z.numpy())
    if num_latent > 1 and not ours.separate_points:
        inducing = gpflow.inducing_variables.SharedIndependentInducingVariables(inducing)
    kernel = their_kernel(ours.kernel)
    if num_latent > 1 and not isinstance(kernel, gpflow.kernels.SeparateIndependent):
        kernel = gpflow.kernels.SharedIndependent(kernel, num_latent)
    model = gpflow.models.SVGP(
        kernel,
        their_likelihood(name, ours.likelihood),
        inducing,
        num_latent_gps=num_latent,
        q_diag=ours.q_diag,
        q_mu=ours.q_mean.numpy().T,
        q_sqrt=ours.q_sqrt.numpy().T if ours.q_diag else ours.q_sqrt.numpy(),
        whiten=ours.whiten,
        num_data=ours.num_data,
    )
    model.q_sqrt = gpflow.Parameter(model.q_sqrt.numpy())  # without a transform, as ours is
    model.q_mu = gpflow.Parameter(model.q_mu.numpy())
    return model, kernel, inducing


def their_gradients(tape, value, model, kernel, inducing, likelihood, diagonal):
    parts = getattr(kernel, "kernels", [getattr(kernel, "kernel", kernel)])
    one = getattr(inducing, "inducing_variable", inducing)
    points = [part.Z for part in getattr(inducing, "inducing_variable_list", [one])]
    # One latent after another: the whole kernel's own order of variables is by name.
    sources = {
        "Z": points,
        "q_mean": [model.q_mu],
        "q_sqrt": [model.q_sqrt],
        "kernel.variance": [part.variance for part in parts],
        "kernel.lengthscales": [part.lengthscales for part in parts],
    }
    found = {
        name: [tape.gradient(value, p.unconstrained_variable).numpy() for p in parameters]
        for name, parameters in sources.items()
    }
    result = {name: np.stack(arrays) if len(arrays) > 1 else arrays[0] for name, arrays in found.items()}
    result["q_mean"] = result["q_mean"].T
    result["q_sqrt"] = result["q_sqrt"].T if diagonal else np.tril(result["q_sqrt"])
    for name in ("variance", "scale"):
        if getattr(likelihood, name, None) is not None:
            variable = getattr(likelihood, name).unconstrained_variable
            result[f"likelihood.{name}"] = tape.gradient(value, variable).numpy()
    return result


CASES = [
    ("gaussian", {}),
    ("gaussian", {"q_diag": True}),
    ("student_t", {"latents": 3}),
    ("logit", {"latents": 3, "separate": True}),
    ("probit", {}),
    ("poisson", {"latents": 3, "separate": True, "q_diag": True}),
    ("gaussian", {"latents": 3, "own_points": True}),
    ("logit", {"latents": 3, "separate": True, "own_points": True}),
    ("poisson", {"latents": 3, "separate": True, "own_points": True, "q_diag": True}),
]


@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize(("likelihood", "structure"), CASES, ids=str)
def test_bound_and_gradients_are_those_of_gpflow(likelihood, structure, whiten, small_model):
    ours, data = small_model(likelihood, whiten=whiten, **structure)
    model, kernel, inducing = theirs(likelihood, ours, structure.get("latents", 1))
    assert ours.jitter == gpflow.config.default_jitter()
    with tf.GradientTape() as tape:
        value = ours.elbo(data)
    variables = named_variables(ours)
    gradients = tape.gradient(value, variables)
    with tf.GradientTape(persistent=True) as tape:
        expected = model.elbo(data)
    np.testing.assert_allclose(value, expected, rtol=1e-8)
    wanted = their_gradients(tape, expected, model, kernel, inducing, model.likelihood, ours.q_diag)
    assert set(wanted) == set(variables)
    for name, gradient in gradients.items():
        scale = np.abs(wanted[name]).max()
        np.testing.assert_allclose(gradient, wanted[name], rtol=1e-7, atol=1e-7 * scale, err_msg=name)


@pytest.mark.parametrize("own_points", [False, True])
@pytest.mark.parametrize("whiten", [False, True])
def test_predictions_are_those_of_gpflow(whiten, own_points, small_model):
    ours, (X, _) = small_model(latents=3, separate=True, whiten=whiten, own_points=own_points)
    model, _, _ = theirs("gaussian", ours, 3)
    for got, expected in zip(ours.predict_f(X), model.predict_f(X), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-8)
    got, expected = ours.predict_f(X, full_cov=True)[1], model.predict_f(X, full_cov=True)[1]
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-9)
