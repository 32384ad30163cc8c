"""The config: a strict tree of sections, and the loader that tells where each mistake is."""

from __future__ import annotations

from svgp.config.base import Section
from svgp.config.data import BuiltinDataset, DataConfig, TestConfig
from svgp.config.json_schema import config_schema
from svgp.config.kernels import KERNELS, Kernel, KernelSection, OnInputs, kernel_section, kernel_sections
from svgp.config.likelihoods import (
    BernoulliLikelihood,
    GaussianLikelihood,
    Likelihood,
    PoissonLikelihood,
    StudentTLikelihood,
    Task,
)
from svgp.config.loader import load_config
from svgp.config.model import InducingConfig, ModelConfig, PosteriorConfig
from svgp.config.neighbours import NeighboursConfig
from svgp.config.priors import GammaPrior, LogNormalPrior, Prior, PriorsConfig
from svgp.config.template import template_for_table
from svgp.config.train import TrainConfig
from svgp.config.tree import Config, OutputConfig

__all__ = [
    "BernoulliLikelihood", "BuiltinDataset", "Config", "DataConfig", "GammaPrior", "GaussianLikelihood",
    "InducingConfig", "KERNELS", "Kernel", "KernelSection", "Likelihood", "LogNormalPrior", "ModelConfig",
    "NeighboursConfig",
    "OnInputs", "OutputConfig", "PoissonLikelihood", "PosteriorConfig", "Prior", "PriorsConfig",
    "Section", "StudentTLikelihood", "Task", "TestConfig", "TrainConfig",
    "config_schema", "load_config", "kernel_section", "kernel_sections", "template_for_table",
]  # fmt: skip
