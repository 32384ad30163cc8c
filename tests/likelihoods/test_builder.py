"""From a config to a likelihood, and where open numbers start."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import yaml

from svgp.config.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    GaussianLikelihood,
    PoissonLikelihood,
    StudentTLikelihood,
)
from svgp.errors import ModelError
from svgp.likelihoods import Bernoulli, Gaussian, Poisson, StudentT, from_config
from svgp.likelihoods.start import Targets


def test_open_numbers_start_from_the_data():
    gaussian = from_config(GaussianLikelihood(), target_variance=4.0)
    assert isinstance(gaussian, Gaussian)
    np.testing.assert_allclose(tf.convert_to_tensor(gaussian.variance), 0.4)
    assert gaussian.floor == pytest.approx(4e-6)
    student = from_config(StudentTLikelihood(type="student_t"), target_variance=10.0)
    assert isinstance(student, StudentT) and student.df == 4.0
    np.testing.assert_allclose(tf.convert_to_tensor(student.scale), 1.0)


@pytest.mark.parametrize("target_variance", [0.0, float("nan")])
def test_a_constant_target_starts_as_a_standard_one(target_variance):
    likelihood = from_config(GaussianLikelihood(), target_variance=target_variance)
    np.testing.assert_allclose(tf.convert_to_tensor(likelihood.variance), 0.1)


def test_given_numbers_are_taken():
    gaussian = from_config(GaussianLikelihood(variance=0.02), dtype=tf.float32)
    np.testing.assert_allclose(tf.convert_to_tensor(gaussian.variance), 0.02, rtol=1e-6)
    assert gaussian.dtype == tf.float32
    with pytest.raises(ModelError, match=r"model.likelihood.variance: 1e-08 is not above the floor"):
        from_config(GaussianLikelihood(variance=1e-8))


def test_types_match_tasks():
    for config in (
        GaussianLikelihood(),
        StudentTLikelihood(type="student_t"),
        BernoulliLikelihood(type="bernoulli", link="logit"),
        PoissonLikelihood(type="poisson"),
    ):
        assert from_config(config).task == config.task
    assert from_config(BernoulliLikelihood(type="bernoulli", link="logit")).link == "logit"
    assert isinstance(from_config(BernoulliLikelihood(type="bernoulli")), Bernoulli)
    assert isinstance(from_config(PoissonLikelihood(type="poisson")), Poisson)


@pytest.mark.parametrize("name", [name for name in LIKELIHOODS if name != "switched"])
def test_a_section_knows_how_many_functions_its_class_has(name):
    """`svgp check` forecasts from the section alone."""
    section = LIKELIHOODS[name]
    config = section(**{**yaml.safe_load(section.example), "type": name})
    classes = 4 if config.task in ("multiclass", "ordinal") else 0
    built = from_config(config, Targets(np.arange(8.0)[:, None] % 4, classes=classes))
    assert config.functions(1, classes) == built.num_latent(1)
    if section.several_targets:
        assert config.functions(3) == built.num_latent(3)
