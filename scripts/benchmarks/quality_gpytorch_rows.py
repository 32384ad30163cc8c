"""GPyTorch without inducing points: its exact GP, and VNNGP, which sees the nearest rows (Wu et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gpytorch
import torch
from gpytorch.variational import MeanFieldVariationalDistribution
from gpytorch.variational.nearest_neighbor_variational_strategy import NNVariationalStrategy

from benchmarks.quality_gpytorch import matern, predicted
from benchmarks.quality_problem import Problem
from benchmarks.quality_trainer import (
    LEARNING_RATE,
    START_NOISE,
    Prediction,
    Settings,
    serve,
    start_lengthscales,
)

EXACT_RATE = 0.1  # as in GPyTorch's examples of exact GPs
NEIGHBOURS = 32
EXACT_ROWS = 20_000  # the covariance of more does not fit beside its factor in 16 GiB


class Exact(gpytorch.models.ExactGP):
    """A zero-mean GP of all rows."""

    def __init__(self, X: Any, y: Any, likelihood: Any, lengthscales: Any) -> None:
        super().__init__(X, y, likelihood)
        self.mean, self.kernel = gpytorch.means.ZeroMean(), matern(lengthscales)

    def forward(self, X: Any) -> Any:
        return gpytorch.distributions.MultivariateNormal(self.mean(X), self.kernel(X))


class Nearest(gpytorch.models.ApproximateGP):
    """An inducing point at each row, whose prior and posterior see their nearest ones."""

    def __init__(self, X: Any, batch: int, lengthscales: Any) -> None:
        q = MeanFieldVariationalDistribution(len(X))
        super().__init__(NNVariationalStrategy(self, X, q, k=NEIGHBOURS, training_batch_size=batch))
        # The strategy asks for the kernel by this name.
        self.mean_module, self.covar_module = gpytorch.means.ZeroMean(), matern(lengthscales)

    def forward(self, X: Any) -> Any:
        return gpytorch.distributions.MultivariateNormal(self.mean_module(X), self.covar_module(X))

    def __call__(self, x: Any, prior: bool = False, **kwargs: Any) -> Any:
        # Training batches of the strategy's own are asked for by None.
        if x is not None and x.dim() == 1:
            x = x.unsqueeze(-1)
        return self.variational_strategy(x=x, prior=False, **kwargs)


class Rows:
    """`settings.method`: exact or vnngp."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        torch.set_default_dtype(getattr(torch, settings.dtype))
        torch.manual_seed(settings.seed)
        X, Y, X_test, Y_test, _ = (torch.tensor(array, dtype=torch.get_default_dtype()) for array in problem)
        self.label, self._test, self._y = settings.method, (X_test, Y_test[:, 0]), Y[:, 0]
        self.likelihood = gpytorch.likelihoods.GaussianLikelihood()
        self.likelihood.noise = START_NOISE
        lengthscales = torch.tensor(start_lengthscales(problem.X))
        if settings.method == "exact":
            if len(X) > EXACT_ROWS:
                raise MemoryError(f"{len(X)} rows; an exact GP of more than {EXACT_ROWS} does not fit")
            self.model = Exact(X, self._y, self.likelihood, lengthscales)
            self._bound = gpytorch.mlls.ExactMarginalLogLikelihood(self.likelihood, self.model)
            rate = EXACT_RATE
        else:
            self.model = Nearest(X, settings.batch_size, lengthscales)
            self._bound = gpytorch.mlls.VariationalELBO(self.likelihood, self.model, num_data=len(X))
            rate = LEARNING_RATE
        parameters = {id(p): p for p in [*self.model.parameters(), *self.likelihood.parameters()]}
        self._optimiser = torch.optim.Adam(parameters.values(), lr=rate)

    def train(self, tick: Callable[[], None]) -> None:
        while True:
            self._optimiser.zero_grad()
            loss = -self._objective()
            loss.backward()
            self._optimiser.step()
            tick()

    def _objective(self) -> Any:
        if self.label == "exact":
            return self._bound(self.model(*self.model.train_inputs), self._y)
        output = self.model(x=None)
        return self._bound(output, self._y[self.model.variational_strategy.current_training_indices])

    def predict(self) -> Prediction:
        return predicted(self.model, self.likelihood, *self._test)


if __name__ == "__main__":
    serve(Rows)
