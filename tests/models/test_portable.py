"""Saving and opening: every configuration comes back to the last bit, damage is named."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy

from svgp.config.model import ModelConfig
from svgp.errors import RunError
from svgp.models import build_model, load_model, load_model_state, model_state, save_model

KERNELS = [
    *({"type": kind} for kind in ("squared_exponential", "matern12", "matern32", "matern52")),
    *({"type": kind} for kind in ("linear", "constant", "white")),
    {"type": "matern32", "ard": False},
    {"sum": [{"type": "matern32", "inputs": ["x1"]}, {"type": "linear"}]},
    {"product": [{"type": "matern52"}, {"sum": [{"type": "constant"}, {"type": "matern12", "ard": False}]}]},
]
CONFIGS = [
    *({"kernel": kernel} for kernel in KERNELS),
    {"likelihood": {"type": "gaussian", "variance": 0.02}},
    {"likelihood": {"type": "student_t", "df": 3.0}},
    {"likelihood": {"type": "bernoulli", "link": "probit"}},
    {"likelihood": {"type": "bernoulli", "link": "logit"}, "bound": "tight"},
    {"likelihood": {"type": "poisson"}},
    {"mean": "constant"},
    {"mean": "linear"},
    {"posterior": {"type": "diagonal"}},
    {"posterior": {"type": "full", "whiten": True}},
    {"posterior": {"type": "diagonal", "whiten": True}, "bound": "tight"},
    {"inducing": {"count": 6, "trainable": False}, "jitter": 1e-4},
]


def columns():
    return SimpleNamespace(
        input_names=["x0", "x1"],
        input_mean=np.zeros(2),
        input_scale=np.ones(2),
        to_dict=lambda: {"input_names": ["x0", "x1"]},
    )


def built(settings, precision="float64", outputs=1, scale=1.0):
    config = ModelConfig.model_validate({"inducing": {"count": 6}, **settings})
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 2)), scale * rng.normal(size=(30, outputs))
    if config.likelihood.task != "regression":
        Y = (Y > 0).astype(float)
    model, _ = build_model(config, X, Y, columns=columns(), num_data=77, precision=precision)
    for variable in model.variables:  # away from round starting values
        noise = 0.1 * rng.normal(size=variable.shape)
        noise = np.tril(noise) if variable is model.q_sqrt and not model.q_diag else noise
        variable.assign_add(noise.astype(variable.dtype.as_numpy_dtype))
    return model, config, (X, Y)


def assert_equal(model, opened, data):
    expected, state = model_state(model), model_state(opened)
    assert set(expected) == set(state)
    for name, values in expected.items():
        assert values.dtype == state[name].dtype
        np.testing.assert_array_equal(state[name], values, err_msg=name)
    assert opened.elbo(data).numpy() == model.elbo(data).numpy()
    for got, wanted in zip(opened.predict_y(data[0]), model.predict_y(data[0]), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert [v.trainable for v in opened.variables] == [v.trainable for v in model.variables]


@pytest.mark.parametrize("settings", CONFIGS, ids=str)
def test_every_configuration_comes_back_to_the_last_bit(settings, tmp_path):
    model, config, data = built(settings)
    save_model(tmp_path / "model", model, config, columns=columns(), precision="float64")
    opened, description = load_model(tmp_path / "model")
    assert_equal(model, opened, data)
    assert (opened.num_data, opened.jitter) == (77, model.jitter)
    assert description["columns"] == {"input_names": ["x0", "x1"]} and description["precision"] == "float64"


@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_precision_and_outputs_come_back(precision, outputs, tmp_path):
    model, config, data = built({"mean": "linear"}, precision, outputs)
    save_model(tmp_path / "model", model, config, columns=columns(), precision=precision)
    opened, _ = load_model(tmp_path / "model")
    assert_equal(model, opened, data)
    assert (opened.dtype, opened.batch_dtype) == (model.dtype, model.batch_dtype)


@pytest.mark.parametrize("scale", [1e-5, 1e3])
def test_the_noise_floor_of_unstandardised_targets_comes_back(scale, tmp_path):
    settings = {"likelihood": {"type": "gaussian", "variance": 0.02 * scale**2}}
    for one in ({}, settings):
        model, config, data = built(one, scale=scale)
        save_model(tmp_path / "model", model, config, columns=columns(), precision="float64")
        opened, _ = load_model(tmp_path / "model")
        assert opened.likelihood.floor == model.likelihood.floor != 1e-6
        assert_equal(model, opened, data)


@pytest.fixture
def saved(tmp_path):
    model, config, _ = built({})
    save_model(tmp_path / "model", model, config, columns=columns(), precision="float64")
    return tmp_path / "model"


def change(**values):
    def apply(folder):
        description = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps({**description, **values}))

    return apply


def drop(key):
    def apply(folder):
        description = json.loads((folder / "model.json").read_text())
        del description[key]
        (folder / "model.json").write_text(json.dumps(description))

    return apply


def cut(name, keep):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def tensors(**arrays):
    def apply(folder):
        path = folder / "model.safetensors"
        state = {**safetensors.numpy.load(path.read_bytes()), **arrays}
        safetensors.numpy.save_file({name: a for name, a in state.items() if a is not None}, path)

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "model.json").unlink(), "no such file"),
        (cut("model.json", 20), "cannot be read as JSON"),
        (lambda folder: (folder / "model.json").write_text("[]"), "format None; this version reads 1"),
        (change(format=99), "format 99; this version reads 1"),
        (change(precision="float16"), "not a whole saved model"),
        (change(shapes=[]), "not a whole saved model"),
        (change(model={"kernel": {"type": "none"}}), "not a whole saved model"),
        (drop("shapes"), "not a whole saved model .KeyError: 'shapes'"),
        (drop("jitter"), "not a whole saved model .KeyError: 'jitter'"),
        (lambda folder: (folder / "model.safetensors").unlink(), "not a whole saved model"),
        (cut("model.safetensors", 100), "not a whole saved model"),
        (cut("model.safetensors", -8), "not a whole saved model"),
        (tensors(Z=np.zeros((5, 2))), r"'Z' is float64 \[5, 2\]; expected float64 \[6, 2\]"),
        (tensors(Z=np.zeros((6, 2), np.float32)), r"'Z' is float32 \[6, 2\]; expected float64"),
        (tensors(q_mean=None), "'q_mean' is missing"),
        (tensors(extra=np.zeros(2)), "'extra' is not part of the model"),
    ],
)
def test_damage_is_named(damage, message, saved):
    load_model(saved)
    damage(saved)
    with pytest.raises(RunError, match=message):
        load_model(saved)


def test_a_state_that_does_not_fit_changes_nothing():
    model, _, _ = built({})
    state = model_state(model)
    with pytest.raises(RunError, match="'q_sqrt' is missing"):
        load_model_state(model, {name: x + 1.0 for name, x in state.items() if name != "q_sqrt"})
    np.testing.assert_array_equal(model.Z, state["Z"])


def test_opening_runs_no_code(saved):
    assert sorted(path.name for path in saved.iterdir()) == ["model.json", "model.safetensors"]
    state = safetensors.numpy.load((saved / "model.safetensors").read_bytes())
    assert {"Z", "q_mean", "q_sqrt", "kernel.lengthscales", "likelihood.variance"} <= set(state)
