"""A training step of GPyTorch, its Cholesky forced at every M (by default it turns to CG above 800)."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import Any

import gpytorch
import numpy as np
import torch

from benchmarks.step_case import LEARNING_RATE, NOISE, NUM_DATA, Case, Numbers, serve

STRATEGIES = {
    True: gpytorch.variational.VariationalStrategy,
    False: gpytorch.variational.UnwhitenedVariationalStrategy,
}


class Model(gpytorch.models.ApproximateGP):
    """A zero-mean Matérn 3/2 GP with inducing points."""

    def __init__(self, case: Case, given: Numbers) -> None:
        q = gpytorch.variational.CholeskyVariationalDistribution(case.M)
        strategy = STRATEGIES[case.whiten](
            self, torch.tensor(given.Z), q, learn_inducing_locations=True, jitter_val=case.jitter
        )
        super().__init__(strategy)
        self.mean = gpytorch.means.ZeroMean()
        matern = gpytorch.kernels.MaternKernel(nu=1.5, ard_num_dims=given.Z.shape[1])
        self.kernel = gpytorch.kernels.ScaleKernel(matern)
        matern.lengthscale = torch.tensor(given.lengthscales)
        self.kernel.outputscale = 1.0
        with torch.no_grad():
            q.variational_mean.copy_(torch.tensor(given.q_mean))
            q.chol_variational_covar.copy_(torch.tensor(given.q_sqrt))
        strategy.variational_params_initialized.fill_(1)

    def forward(self, X: Any) -> Any:
        return gpytorch.distributions.MultivariateNormal(self.mean(X), self.kernel(X))


class Gpytorch:
    """GPyTorch's ELBO and PyTorch's fused Adam."""

    def __init__(self, case: Case, given: Numbers) -> None:
        torch.set_default_dtype(getattr(torch, case.float_type))
        self._settings = ExitStack()
        exact = gpytorch.settings.fast_computations(
            covar_root_decomposition=False, log_prob=False, solves=False
        )
        self._settings.enter_context(exact)
        self._settings.enter_context(gpytorch.settings.max_cholesky_size(10**9))
        on_gpu = os.environ.get("SVGP_BENCHMARK_GPU") == "1" and torch.cuda.is_available()
        device = "cuda" if on_gpu else "cpu"
        torch.backends.cuda.matmul.allow_tf32 = False
        self.model = Model(case, given).to(device)
        self.likelihood = gpytorch.likelihoods.GaussianLikelihood()
        self.likelihood.noise = NOISE
        self.likelihood.to(device)
        self._X = torch.tensor(given.X, device=device)
        self._Y = torch.tensor(given.Y[:, 0], device=device)
        self._elbo = gpytorch.mlls.VariationalELBO(self.likelihood, self.model, num_data=NUM_DATA)
        parameters = [*self.model.parameters(), *self.likelihood.parameters()]
        self._optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True)

    def step(self) -> float:
        self._optimiser.zero_grad()
        loss = -self._elbo(self.model(self._X), self._Y)
        loss.backward()
        self._optimiser.step()
        return -NUM_DATA * loss.item()

    def gradients(self) -> dict[str, np.ndarray]:
        """The ELBO alone: GPyTorch also adds jitter to the rows' own variances, so it differs slightly."""
        with torch.no_grad():
            elbo = NUM_DATA * self._elbo(self.model(self._X), self._Y).item()
        return {"elbo": np.asarray(elbo)}


if __name__ == "__main__":
    serve(Gpytorch)
