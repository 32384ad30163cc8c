"""What a trained model says of new rows."""

from __future__ import annotations

from svgp.models.predictive.calibration import Calibration
from svgp.models.predictive.draws import predictive_draws
from svgp.models.predictive.fit import Sites, fit_predictive
from svgp.models.predictive.joint import joint_covariance
from svgp.models.predictive.predictive import Latent, Predictive
from svgp.models.predictive.sparse import Parts, SparseRows

__all__ = [
    "Calibration",
    "Latent",
    "Parts",
    "Predictive",
    "Sites",
    "SparseRows",
    "fit_predictive",
    "joint_covariance",
    "predictive_draws",
]
