"""q(f) from the inducing points alone, row by row on the host, from one snapshot of a model.

With `L L^T = Kuu`, `A = L^-1 Kuf` and the whitened `q(v) = N(m, S S^T)`, as in `svgp.linalg.marginals`:

    mean = A^T m      explained = rowsum((A^T S)^2)      residual = d = kff - rowsum((A^T)^2)

Kuu is factored once for all rows. Rows go in panels, each on one thread from kernel to sums, with rows down
and inducing points across, which is how neighbours want them. On a GPU the panels are TensorFlow's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.kernels import host
from svgp.linalg.backend import use_host
from svgp.linalg.host import blas, threads
from svgp.models.collapsed.kernels import compiled

PANEL_ENTRIES = 1 << 19  # of [n, M]: 4 MiB, as in svgp.models.collapsed.panels
DEVICE_ENTRIES = 1 << 24  # 128 MiB


class Parts(NamedTuple):
    """q(f) at rows, the mean function included; the variance of f is `explained + residual`."""

    mean: np.ndarray  # [N, L]
    explained: np.ndarray  # [N, L] what q(u) leaves
    residual: np.ndarray  # [N, L] what the inducing points do not account for, never below zero

    @property
    def variance(self) -> np.ndarray:
        """Of f, `[N, L]`."""
        return self.explained + self.residual


class SparseRows:
    """A snapshot of q(f): it does not follow later changes of the model's q(u), Z or kernel."""

    def __init__(self, model: Any) -> None:
        posterior = model.posterior()
        self.model, self.kernel = model, panel_kernel(model)
        self.dtype = model.dtype.as_numpy_dtype
        self.L_inverse = np.asarray(posterior.L_inverse)  # [1 or L, M, M]
        self.q_mean, self.q_sqrt = np.asarray(posterior.q_mean), np.asarray(posterior.q_sqrt)
        self.num_latent, self.num_inducing = self.q_mean.shape  # L, M
        self._there: Callable[..., Any] | None = None  # q(f) of a panel on the device
        if not use_host(tf.zeros([1, 1], model.dtype)):
            rows = tf.TensorSpec([None, model.Z.shape[-1]], model.dtype)
            self._there = compiled(posterior.latents, [rows])

    def parts(self, X: np.ndarray) -> Parts:
        """Mean, explained and residual variance of the likelihood's functions at scaled inputs X `[N, D]`."""
        latents = self._latents(X)
        return self._functions(X, latents)

    def _functions(self, X: np.ndarray, latents: Parts) -> Parts:
        mean, explained, residual = (np.asarray(x) for x in self.model.outputs.functions(*latents))
        prior = np.asarray(self.model.mean(X.astype(self.dtype, copy=False)))  # [N, Q]
        return Parts(mean + prior, explained, residual)

    def _latents(self, X: np.ndarray) -> Parts:
        if self._there is not None:
            X = X.astype(self.dtype, copy=False)
            panels = [self._there(tf.constant(X[rows])) for rows in self.panels(len(X), DEVICE_ENTRIES)]
            return Parts(*(np.concatenate(parts) for parts in zip(*panels, strict=True)))
        found = Parts(*(np.empty((len(X), self.num_latent), self.dtype) for _ in range(3)))

        def fill(rows: slice) -> None:
            A, prior = self._projected(X[rows])
            for latent in range(self.num_latent):
                self._fill_latent(latent, A[min(latent, len(A) - 1)], rows, found)
            found.residual[rows] = np.maximum(prior, 0.0)

        with threads.single_threaded_blas():
            threads.run_all([partial(fill, rows) for rows in self.panels(len(X))])
        return found

    def project(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`A^T [1 or L, N, M]` and the residual variance `[N, L]`, which rounding can put below zero."""
        out = blas.aligned_empty((len(self.L_inverse), len(X), self.num_inducing), self.dtype)
        residual = np.empty((len(X), self.num_latent), self.dtype)

        def fill(rows: slice) -> None:
            out[:, rows], residual[rows] = self._projected(X[rows])

        with threads.single_threaded_blas():
            threads.run_all([partial(fill, rows) for rows in self.panels(len(X))])
        return out, residual

    def panels(self, rows: int, entries: int = PANEL_ENTRIES) -> list[slice]:
        """Ranges of rows of about so many entries `[n, M]`, as many for each thread."""
        wanted = max(64, entries // self.num_inducing)
        count = max(1, -(-rows // wanted))
        edges = [round(rows * index / count) for index in range(count + 1)]
        return [slice(*both) for both in zip(edges[:-1], edges[1:], strict=True)]

    def _projected(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A^T [1 or L, n, M] and kff - rowsum((A^T)^2) [n, L] of one panel."""
        K, prior = self.kernel(X)  # [1 or L, n, M], [1 or L, n]
        A = np.ascontiguousarray(np.broadcast_to(K, (len(self.L_inverse), *K.shape[1:])))
        for matrix, inverse in zip(A, self.L_inverse, strict=True):
            blas.triangular_product_right(matrix, inverse, transpose=True)
        residual = prior - np.einsum("lnm,lnm->ln", A, A)
        return A, np.broadcast_to(residual, (self.num_latent, len(X))).T

    def _fill_latent(self, latent: int, A: np.ndarray, rows: slice, found: Parts) -> None:
        found.mean[rows, latent] = blas.times_vector(A, self.q_mean[latent])
        C = A.copy()
        blas.triangular_product_right(C, self.q_sqrt[latent])
        found.explained[rows, latent] = np.einsum("nm,nm->n", C, C)


PanelKernel = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def panel_kernel(model: Any) -> PanelKernel:
    """A function of X `[n, D]` that gives `Kfu [1 or L, n, M]` and `kff [1 or L, n]`, safe in threads.

    By NumPy where `svgp.kernels.host` has the model's kernel, else by TensorFlow.
    """
    kernel, Z = model.kernel, model.Z.numpy()
    if not (host.supports(kernel) and model.dtype.as_numpy_dtype == np.float64) or model.separate_points:
        dtype = model.dtype.as_numpy_dtype

        def by_tensorflow(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            K, prior = np.asarray(kernel.K(X, Z), dtype), np.asarray(kernel.K_diag(X), dtype)
            return K.reshape(-1, *K.shape[-2:]), prior.reshape(-1, prior.shape[-1])

        return by_tensorflow
    ours = host.at_points(kernel, Z.shape[1])(Z)

    def by_numpy(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        K = blas.aligned_empty((1, len(X), len(Z)), np.float64)
        ours.covariance(X, K[0], np.empty_like(K[0]) if ours.separate_slope else K[0])
        return K, np.full((1, len(X)), ours.variance)

    return by_numpy
