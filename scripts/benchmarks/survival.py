"""Right-censored lifetimes: the Weibull likelihood beside Weibull fits by maximum likelihood, in SciPy.

The table is the built-in `lifetimes`, whose law is known: shape 2, and for the log of the scale
2.5 - 0.8 load + 0.4 sin(3 heat).
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import scipy.stats as st
from scipy.optimize import minimize

from benchmarks.recovery import fit
from svgp.config import load_config
from svgp.data import load_dataset

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "lifetimes.yaml"
SHAPE = 2.0


def survival_table(overrides: list[str]) -> list[dict[str, str]]:
    """A row for each contender: log density of test rows, error of the log scale there, and the shape."""
    config = load_config(CONFIG, overrides)
    dataset = load_dataset(config.data, config.model.likelihood)
    columns, scale = dataset.columns, float(dataset.columns.target_scale[0])
    assert dataset.test_rows is not None
    (X, Y), (X_test, Y_test) = (
        [np.concatenate(part) for part in list(zip(*rows.blocks(), strict=True))[1:]]
        for rows in (dataset.rows, dataset.test_rows)
    )
    names = columns.input_names
    raw, raw_test = map(columns.unscale_inputs, (X, X_test))
    load, heat = (raw_test[:, names.index(name)] for name in ("load", "heat"))
    truth = 2.5 - 0.8 * load + 0.4 * np.sin(3.0 * heat)

    in_years = float(np.mean(Y_test[:, 1] == 0)) * np.log(scale)

    def row(
        name: str, density: np.ndarray, log_scale: np.ndarray, shape: float, error: str
    ) -> dict[str, str]:
        return {
            "fit": name,
            "log density": f"{np.mean(density) - in_years:.4f}",
            "error of log scale": f"{np.sqrt(np.mean((log_scale - truth) ** 2)):.4f}",
            "shape": f"{shape:.3f}{error}",
        }

    began = time.process_time()
    model, predictive, _ = fit(config, dataset)
    seconds = time.process_time() - began
    latent = predictive.latent(X_test)
    ours = predictive.likelihood.predict_log_density(*latent, Y_test).numpy()
    shape = float(np.asarray(model.likelihood.shape))
    rows = [row("svgp", ours, latent.mean[:, 0] + np.log(scale), shape, "")]
    rows[0]["CPU s"] = f"{seconds:.0f}"
    forms = {
        "SciPy, no inputs": lambda x: np.ones((len(x), 1)),
        "SciPy, linear in the inputs": lambda x: np.column_stack([np.ones(len(x)), x]),
        "SciPy, the law's own form": lambda x: np.column_stack(
            [np.ones(len(x)), x[:, names.index("load")], np.sin(3.0 * x[:, names.index("heat")])]
        ),
    }
    for name, form in forms.items():
        began = time.process_time()
        theta, error = maximum_likelihood(form(raw), *Y.T)
        log_scale, shape = form(raw_test) @ theta[:-1], float(np.exp(theta[-1]))
        density = log_likelihood(log_scale, shape, *Y_test.T)
        found = row(name, density, log_scale + np.log(scale), shape, f" ± {error:.3f}")
        rows.append(found | {"CPU s": f"{time.process_time() - began:.1f}"})
    exact = log_likelihood(truth - np.log(scale), SHAPE, *Y_test.T)
    return [*rows, row("the law itself", exact, truth, SHAPE, "")]


def log_likelihood(log_scale: np.ndarray, shape: float, y: np.ndarray, censored: np.ndarray) -> np.ndarray:
    """Of each row, by its density, or where it is censored by the probability to outlive y."""
    given = st.weibull_min(shape, scale=np.exp(log_scale))
    return np.where(censored > 0, given.logsf(y), given.logpdf(y))


def maximum_likelihood(features: np.ndarray, y: np.ndarray, censored: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients of the log scale, then the log shape; and the shape's error, by the inverse Hessian."""

    def negative(theta: np.ndarray) -> float:
        return -float(log_likelihood(features @ theta[:-1], np.exp(theta[-1]), y, censored).sum())

    found = minimize(negative, np.zeros(features.shape[1] + 1), method="BFGS")
    return found.x, float(np.exp(found.x[-1]) * np.sqrt(found.hess_inv[-1, -1]))
