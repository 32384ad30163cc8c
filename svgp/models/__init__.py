"""Sparse variational GP models: posteriors, bounds, prediction, building and saving."""

from __future__ import annotations

from svgp.models.build import build_model
from svgp.models.portable import load_model, load_model_state, load_predictive, model_state, save_model
from svgp.models.posterior import Posterior
from svgp.models.predictive import Predictive, fit_predictive
from svgp.models.svgp import SVGP, Elbo, LatentMarginals

__all__ = [
    "SVGP",
    "Elbo",
    "LatentMarginals",
    "Posterior",
    "Predictive",
    "build_model",
    "fit_predictive",
    "load_model",
    "load_model_state",
    "load_predictive",
    "model_state",
    "save_model",
]
