"""Means from sections: polynomial, network and column; what training sees of them, and what is kept."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from svgp.config import Config, ModelConfig, load_config
from svgp.errors import ConfigError, ModelError
from svgp.means import Column, NetworkMean, Polynomial, from_config
from svgp.models import build_model, load_model, save_model
from svgp.models.collapsed.bound import CollapsedBound

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2))
Y = (X[:, :1] ** 2 + 3.0 * X[:, 1:] + 0.1 * RNG.normal(size=(40, 1)) - 1.0) / 2.0


class Columns(SimpleNamespace):
    def to_dict(self):
        return {}


COLUMNS = Columns(
    input_names=["a", "b"], input_mean=np.array([1.0, 20.0]), input_scale=np.array([2.0, 5.0]),
    target_mean=np.array([10.0]), target_scale=np.array([4.0]),
)  # fmt: skip


def test_a_polynomial_is_its_formula():
    weights = RNG.normal(size=(2, 3, 2))
    found = Polynomial(weights, [0.5, -1.0])(X)
    expected = [0.5, -1.0] + sum(X[:, [d]] ** (p + 1) * weights[d, p] for d in range(2) for p in range(3))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    with pytest.raises(ModelError, match="3 input columns, expected 2"):
        Polynomial(weights)(np.zeros((4, 3)))


def test_a_column_counts_in_the_targets_own_units():
    section = {"type": "column", "column": "b"}
    config = ModelConfig.model_validate({"mean": section, "inducing": {"count": 5}})
    model, _ = build_model(config, X, Y, columns=COLUMNS)
    assert isinstance(model.mean, Column) and not model.mean.trainable_variables
    raw = X[:, 1] * 5.0 + 20.0
    np.testing.assert_allclose(model.mean(X)[:, 0], (raw - 10.0) / 4.0, rtol=1e-13)
    with pytest.raises(ModelError, match="'c' is not an input; the inputs are a, b"):
        build_model(ModelConfig.model_validate({"mean": {**section, "column": "c"}}), X, Y, columns=COLUMNS)


@pytest.mark.parametrize(
    "mean", [{"type": "polynomial", "degree": 2}, {"type": "network", "layers": [3]},
             {"type": "column", "column": "b"}, "linear"], ids=lambda mean: str(mean)[:20],
)  # fmt: skip
def test_the_collapsed_bound_trains_it_and_it_is_kept(mean, tmp_path):
    config = ModelConfig.model_validate({"mean": mean, "inducing": {"count": 5}})
    assert ModelConfig.model_validate(config.model_dump(mode="json")) == config
    model, _ = build_model(config, X, Y, columns=COLUMNS)
    for variable in model.mean.trainable_variables:
        variable.assign(0.3 * RNG.normal(size=variable.shape))
    bound = CollapsedBound(model, X, Y)
    found = bound.evaluate()
    for variable, gradient in zip(bound.variables, found.gradients, strict=True):
        if any(variable is own for own in model.mean.trainable_variables):
            direction = RNG.normal(size=variable.shape)
            sides = []
            for step in (1e-5, -1e-5):
                variable.assign_add(step * direction)
                sides.append(bound.evaluate().bound)
                variable.assign_add(-step * direction)
            numeric = (sides[0] - sides[1]) / 2e-5
            np.testing.assert_allclose(np.sum(gradient * direction), numeric, rtol=1e-5, atol=1e-5)
    save_model(tmp_path / "model", model, config, columns=COLUMNS, precision="float64")
    again, _ = load_model(tmp_path / "model")
    np.testing.assert_array_equal(again.mean(X), model.mean(X))


def test_a_network_starts_at_zero():
    mean = from_config(ModelConfig(mean={"type": "network", "layers": [4]}).mean, num_inputs=2, num_latent=3)
    assert isinstance(mean, NetworkMean) and mean(X).shape == (40, 3) and not np.any(mean(X))


def test_words_and_mappings_in_a_config(tmp_path):
    words = Config.from_dict({"data": {"dataset": "curve"}, "model": {"mean": "linear"}})
    full = Config.from_dict({"data": {"dataset": "curve"}, "model": {"mean": {"type": "linear"}}})
    assert words == full and Config.from_dict(words.to_dict()) == words
    path = tmp_path / "c.yaml"
    path.write_text("data: {dataset: curve}\nmodel: {mean: {type: polynomial, degree: 3}}\n")
    assert load_config(path, ["model.mean.degree=2"]).model.mean.degree == 2
    assert load_config(path, ["model.mean=constant"]).model.mean.type == "constant"
    with pytest.raises(ConfigError, match=r"model.mean.type: expected 'zero'.*did you mean 'linear'\?"):
        load_config(path, ["model.mean=linaer"])
