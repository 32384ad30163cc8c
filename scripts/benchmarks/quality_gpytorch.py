"""GPyTorch: SVGP by Adam, and by natural gradients and Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gpytorch
import torch

from benchmarks.quality_problem import Problem
from benchmarks.quality_trainer import (
    GAMMA,
    LEARNING_RATE,
    START_NOISE,
    START_VARIANCE,
    Prediction,
    Settings,
    minibatches,
    serve,
    start_lengthscales,
)

POSTERIORS = {
    "adam": gpytorch.variational.CholeskyVariationalDistribution,
    "natgrad": gpytorch.variational.NaturalVariationalDistribution,
}


def matern(lengthscales: Any) -> Any:
    """Matérn 3/2 with a lengthscale for each column."""
    inner = gpytorch.kernels.MaternKernel(nu=1.5, ard_num_dims=len(lengthscales))
    kernel = gpytorch.kernels.ScaleKernel(inner)
    inner.lengthscale, kernel.outputscale = lengthscales, START_VARIANCE
    return kernel


def predicted(model: Any, likelihood: Any, X: Any, Y: Any) -> Prediction:
    """What a model in training says of test rows X [N, D], Y [N]; it goes on training afterwards."""
    model.eval(), likelihood.eval()
    with torch.no_grad():
        seen = likelihood(model(X))
        mean, variance = seen.mean, seen.variance
        log_density = torch.distributions.Normal(mean, variance.sqrt()).log_prob(Y)
    model.train(), likelihood.train()
    return Prediction(mean.numpy(), variance.numpy(), log_density.numpy())


class Model(gpytorch.models.ApproximateGP):
    """A zero-mean Matérn 3/2 GP with inducing points, whitened (the default strategy)."""

    def __init__(self, Z: Any, q: Any, lengthscales: Any) -> None:
        super().__init__(gpytorch.variational.VariationalStrategy(self, Z, q, learn_inducing_locations=True))
        self.mean, self.kernel = gpytorch.means.ZeroMean(), matern(lengthscales)

    def forward(self, X: Any) -> Any:
        return gpytorch.distributions.MultivariateNormal(self.mean(X), self.kernel(X))


class Gpytorch:
    """`settings.method`: adam or natgrad (its NGD)."""

    def __init__(self, problem: Problem, settings: Settings) -> None:
        torch.set_default_dtype(getattr(torch, settings.dtype))
        torch.manual_seed(settings.seed)
        X, _, X_test, Y_test, Z = (torch.tensor(array, dtype=torch.get_default_dtype()) for array in problem)
        self.label = settings.method
        self._test, self._batch = (X_test, Y_test[:, 0]), minibatches(problem, settings)
        q = POSTERIORS[settings.method](len(Z))
        self.model = Model(Z, q, torch.tensor(start_lengthscales(problem.X)))
        self.likelihood = gpytorch.likelihoods.GaussianLikelihood()
        self.likelihood.noise = START_NOISE
        self._elbo = gpytorch.mlls.VariationalELBO(self.likelihood, self.model, num_data=len(X))
        parameters = [*self.model.parameters(), *self.likelihood.parameters()]
        self._optimisers: list[Any] = []
        if settings.method == "natgrad":
            natural = list(self.model.variational_parameters())
            self._optimisers.append(gpytorch.optim.NGD(natural, num_data=len(X), lr=GAMMA))
            parameters = [*self.model.hyperparameters(), *self.likelihood.parameters()]
        self._optimisers.append(torch.optim.Adam(parameters, lr=LEARNING_RATE, fused=True))

    def train(self, tick: Callable[[], None]) -> None:
        while True:
            X, Y = self._batch()
            for optimiser in self._optimisers:
                optimiser.zero_grad()
            loss = -self._elbo(self.model(torch.from_numpy(X)), torch.from_numpy(Y[:, 0]))
            loss.backward()
            for optimiser in self._optimisers:
                optimiser.step()
            tick()

    def predict(self) -> Prediction:
        return predicted(self.model, self.likelihood, *self._test)


if __name__ == "__main__":
    serve(Gpytorch)
