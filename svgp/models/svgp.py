"""The sparse variational Gaussian process: prior, likelihood, inducing points, q(u), and its bound."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from svgp.config.neighbours import NeighboursConfig
from svgp.config.priors import PriorsConfig
from svgp.errors import ModelError
from svgp.kernels import Kernel
from svgp.likelihoods import Likelihood
from svgp.linalg import factorise, logdet
from svgp.linalg.autodiff.solves import inverse_from
from svgp.linalg.factor import Factor
from svgp.linalg.marginals import marginals
from svgp.means import Mean, Zero
from svgp.models.bounds import Bound, as_bound
from svgp.models.outputs import Outputs
from svgp.models.posterior import Posterior
from svgp.models.shapes import as_data, as_inputs, as_points, as_q_mean, as_q_sqrt
from svgp.parameters import positive


class Elbo(NamedTuple):
    """The bound on the whole data set's log evidence as a minibatch estimates it, and its parts (nats)."""

    elbo: tf.Tensor  # [] expected_log_likelihood - kl
    expected_log_likelihood: tf.Tensor  # [] scaled from the batch to num_data rows
    kl: tf.Tensor  # [] KL(q(u) || p(u))
    jitter: tf.Tensor  # [] the largest that was added to the diagonal of Kuu
    repairs: tf.Tensor  # [] int32: how many times jitter had to grow
    objective: tf.Tensor  # [] what training maximises: the ELBO, unless the model's bound is "ppgpr"


class LatentMarginals(NamedTuple):
    """q row by row of each latent; variance `explained + residual`. Unmixed ones have the mean function."""

    mean: tf.Tensor  # [N, L]
    explained: tf.Tensor  # [N, L] variance that comes from q(u)
    residual: tf.Tensor  # [N, L] d = kff - diag(Kfu Kuu^-1 Kuf): what the inducing points do not account for
    prior: tf.Tensor  # [N, L] kff


class SVGP(tf.Module):
    """A sparse variational GP with L latent functions (Hensman, Fusi & Lawrence 2013; Titsias 2009).

    ELBO = (num_data / B) sum_n E_q(f_n)[log p(y_n | f_n)] - KL(q(u) || p(u))

    Args:
        kernel: prior covariance. One for all latents, or hyperparameters with a leading axis of length L.
        likelihood: how y scatters around f.
        Z: inducing inputs [M, D], or [L, M, D] where each latent has points of its own. They become a
            trainable variable; pass a `tf.Variable` to keep your own.
        num_data: rows N of the whole data set. None: every batch is the whole data set.
        mean: prior mean function, zero by default.
        whiten: represent q(v) with u = L v, L L^T = Kuu, instead of q(u) itself.
        q_mean: mean of q, [L, M] (also [M], or [M, L] where that is unambiguous); zeros by default.
        q_sqrt: lower triangular root of q's covariance [L, M, M] (also [M, M]), or [L, M] with `q_diag`: the
            standard deviations; the identity by default.
        bound: a `svgp.models.bounds.Bound` or its name: "standard"; "tight", the residual variance's better
            bound (Titsias 2025; Bui et al. 2025), never lower than the standard one; "ppgpr", which trains
            the predictive log-likelihood instead (Jankowiak, Pleiss & Gardner 2020): `elbo` is the standard
            bound then, `objective` what is raised.
        jitter: added to the diagonal of Kuu, absolute. Where that is not enough more is tried inside the
            graph: from 1e-6 of the mean diagonal, ten times more each time, six times at most.
        q_diag: q's covariance is diagonal.
        num_latent: L, where neither the kernel, q_mean nor q_sqrt tells (default: what one output needs).
        outputs: how latents become the functions that the likelihood reads (`svgp.models.outputs`); None:
            they are these. With a mixing and a likelihood without Gaussian noise, "tight" is "standard".
        batch_dtype: float type of the [M, B] matrices (None: the kernel's own). float32 under a float64
            kernel is `precision: mixed`.

    All else is in the kernel's dtype. Raises ModelError where shapes or types do not fit.
    """

    def __init__(
        self,
        kernel: Kernel,
        likelihood: Likelihood,
        Z: Any,
        num_data: int | None = None,
        mean: Mean | None = None,
        whiten: bool = False,
        q_mean: Any = None,
        q_sqrt: Any = None,
        bound: str | Bound = "standard",
        jitter: float = 1e-6,
        *,
        q_diag: bool = False,
        num_latent: int | None = None,
        outputs: Outputs | None = None,
        batch_dtype: tf.DType | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.kernel, self.likelihood = kernel, likelihood
        self.mean = Zero(dtype=kernel.dtype) if mean is None else mean
        self.dtype = kernel.dtype
        self.batch_dtype = tf.as_dtype(batch_dtype or kernel.dtype)
        inducing = as_points(Z, self.dtype)
        self.Z = Z if isinstance(Z, tf.Variable) else tf.Variable(inducing, name="Z")  # [M, D] or [L, M, D]
        size = self.Z.shape[-2]
        sets = inducing.shape[:-2].as_list()  # [] or [L]
        own = kernel.K_diag(inducing[0] if sets else inducing).shape[:-1].as_list()  # [] or [L]
        told = (own if own != [1] else []) or sets or [_count_latents(q_mean, q_sqrt, q_diag, size)]
        latents = num_latent or told[0] or likelihood.num_latent(1)
        self.outputs = Outputs() if outputs is None else outputs
        likelihood.num_outputs(self.outputs.num_functions(latents))  # or an error: they do not go together
        if own not in ([], [1], [latents]):
            raise ModelError(
                f"kernel: hyperparameters for {own} latent functions, and the model has {latents}; "
                f"expected one set, or a leading axis of {latents}"
            )
        if sets not in ([], [latents]):
            raise ModelError(
                f"Z has shape {inducing.shape}, and the model has {latents} latent functions; expected "
                f"[M, D], or [{latents}, M, D]: a set of inducing points for each"
            )
        self.q_mean = tf.Variable(as_q_mean(q_mean, latents, size, self.dtype), name="q_mean")  # [L, M]
        self.q_sqrt = tf.Variable(as_q_sqrt(q_sqrt, latents, size, q_diag, self.dtype), name="q_sqrt")
        self.bound = as_bound(bound)
        if self.outputs.mixes and self.bound.scales_residual(likelihood):
            # The scale of a latent's residual has no place in the marginals of a mixture.
            self.bound = as_bound("standard")
        self.whiten, self.q_diag = bool(whiten), bool(q_diag)
        self.num_data, self.jitter = num_data, float(jitter)
        # Scales the residual variance under q, one for each latent (math: `svgp.models.bounds`).
        scaled = self.bound.scales_residual(likelihood)
        self.residual_scale = (
            positive(np.ones(latents), "residual_scale", dtype=self.dtype) if scaled else None
        )
        # What training is told about this model; `svgp.models.build` sets it from a config.
        self.inducing_range: tuple[np.ndarray, np.ndarray] | None = None  # low and high of Z, [D] each
        self.replace_redundant = False  # give redundant points new places
        self.priors: PriorsConfig | None = None  # on hyperparameters
        self.neighbours: NeighboursConfig | None = None  # a stage of training for them
        self.judged = False  # after training, by rows that it should not have seen
        self.lacks_targets = False  # in some rows
        self.common_lengths: np.ndarray | None = None  # [D] one length in the unit that inputs share, if any

    @property
    def num_latent(self) -> int:
        """L, the number of latent functions."""
        return int(self.q_mean.shape[0])

    @property
    def num_columns(self) -> int:
        """Columns of Y: P targets, and what the likelihood is told of each row besides."""
        return self.likelihood.num_columns(self.num_functions)

    @property
    def num_functions(self) -> int:
        """Q, the functions that the likelihood reads: L, unless the outputs mix the latents."""
        return self.outputs.num_functions(self.num_latent)

    @property
    def num_inducing(self) -> int:
        """M, the number of inducing points of a latent function."""
        return int(self.Z.shape[-2])

    @property
    def separate_points(self) -> bool:
        """Whether each latent function has inducing points of its own, Z [L, M, D], and not all the same."""
        return int(self.Z.shape.rank) == 3

    def Kuu(self) -> tf.Tensor:
        """The prior covariance of u, without jitter: [M, M], or [L, M, M] for L kernels or sets of points."""
        return self.kernel.K(self.Z)

    def factor(self) -> Factor:
        """The factor of `Kuu + jitter I`, [1 or L, M, M]; no gradient flows through it."""
        return factorise(_with_latent_axis(self.Kuu(), 2), self.jitter)

    def q_root(self) -> tf.Tensor:
        """q_sqrt as a lower triangle [L, M, M], also where q is diagonal."""
        return tf.linalg.diag(self.q_sqrt) if self.q_diag else tf.convert_to_tensor(self.q_sqrt)

    def kl(self) -> tf.Tensor:
        """KL(q(u) || p(u)) in nats, a scalar, summed over the latents.

        Unwhitened: (tr(Kuu^-1 S) + m^T Kuu^-1 m - M + log|Kuu| - log|S|) / 2, where log|Kuu| is
        `svgp.linalg.logdet`, whose gradient Kuu^-1 is written by hand; the quadratic terms have hand-written
        gradients as well. `elbo` does not call this: it gets the same number, with the same adjoint, out of
        the one operation that gives the marginals.
        """
        root, size = self.q_root(), tf.constant(self.num_inducing, self.dtype)
        logdet_q = 2.0 * tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(root))))
        q_mean = tf.convert_to_tensor(self.q_mean)
        if self.whiten:
            quadratic = tf.reduce_sum(q_mean**2) + tf.reduce_sum(root**2)
            return 0.5 * (quadratic - self.num_latent * size - logdet_q)
        Kuu = _with_latent_axis(self.Kuu(), 2)  # [1 or L, M, M]
        factor = factorise(Kuu, self.jitter)
        Kuu += factor.jitter[..., None, None] * tf.eye(self.num_inducing, dtype=self.dtype)
        inverse = inverse_from(Kuu, tf.matmul(factor.L_inverse, factor.L_inverse, transpose_a=True))
        second_moment = tf.matmul(root, root, transpose_b=True) + q_mean[:, :, None] * q_mean[:, None, :]
        logdet_p = tf.reduce_sum(logdet(Kuu) + tf.zeros([self.num_latent], self.dtype))
        quadratic = tf.reduce_sum(inverse * second_moment)  # tr(Kuu^-1 (S + m m^T))
        return 0.5 * (quadratic - self.num_latent * size + logdet_p - logdet_q)

    def elbo(self, data: tuple[Any, Any]) -> tf.Tensor:
        """The bound on the log evidence of all num_data rows (nats, a scalar), estimated from `(X, Y)`.

        X is [B, D], Y [B, P] or [B]. An unbiased estimate when the batch is a random sample of the rows.
        """
        return self.elbo_parts(data).elbo

    def objective(self, data: tuple[Any, Any]) -> tf.Tensor:
        """What training maximises, in nats for all num_data rows (a scalar), estimated from `(X, Y)`.

        The ELBO, or for `bound="ppgpr"` (num_data / B) sum_n log E_q(f_n)[p(y_n | f_n)] - KL(q(u) || p(u)),
        which is never below the ELBO. Shapes as in `elbo`.
        """
        return self.elbo_parts(data).objective

    def elbo_parts(self, data: tuple[Any, Any]) -> Elbo:
        """The same, with its parts, what the factorisation of Kuu took, and what training maximises."""
        X, Y = as_data(data, self.Z.shape[-1], self.dtype)
        Kuu = _with_latent_axis(self.Kuu(), 2)  # [1 or L, M, M]
        factor = factorise(Kuu, self.jitter)
        # After Kuu, so that it fills the cores that the factorisation leaves idle.
        with tf.control_dependencies([Kuu]):
            Kuf = _with_latent_axis(self.kernel.K(self.Z, X, dtype=self.batch_dtype), 2)  # [1 or L, M, B]
        kff = _with_latent_axis(self.kernel.K_diag(X), 1)  # [1 or L, B]
        q = marginals(Kuu, Kuf, kff, self.q_mean, self.q_root(), factor, whiten=self.whiten)
        explained, residual = tf.transpose(q.explained), tf.maximum(tf.transpose(q.residual), 0.0)  # [B, L]
        mean, explained, residual = self.outputs.functions(tf.transpose(q.mean), explained, residual)
        mean += self.mean(X)  # [B, Q]
        per_row, per_data_set = self.bound.terms(self, mean, explained, residual, Y)  # [B], []
        rows = tf.shape(X)[0]
        total = rows if self.num_data is None else tf.convert_to_tensor(self.num_data, dtype_hint=self.dtype)
        total = tf.cast(total, self.dtype)
        expected = total / tf.cast(rows, self.dtype) * tf.reduce_sum(per_row) + total * per_data_set
        kl = tf.reduce_sum(q.kl)
        elbo = objective = expected - kl
        instead = self.bound.instead(self, mean, explained, residual, Y)  # [B]
        if instead is not None:
            objective = total / tf.cast(rows, self.dtype) * tf.reduce_sum(instead) - kl
        repairs = tf.reduce_sum(factor.repairs)
        return Elbo(elbo, expected, kl, tf.reduce_max(factor.jitter), repairs, objective)

    def posterior(self) -> Posterior:
        """q(f) with everything that does not depend on X computed once: for repeated prediction."""
        return Posterior(self)

    def marginals(self, X: Any) -> LatentMarginals:
        """q(f) at X [N, D], row by row, with the variance in its two parts."""
        X = as_inputs(X, "X", self.dtype, columns=self.Z.shape[-1])
        mean, explained, residual = self.posterior().latents(X)
        mean = mean if self.outputs.mixes else mean + self.mean(X)
        prior = tf.transpose(_with_latent_axis(self.kernel.K_diag(X), 1)) + tf.zeros_like(mean)  # [N, L]
        return LatentMarginals(mean, explained, residual, prior)

    def predict_f(
        self, X: Any, full_cov: bool = False, full_output_cov: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean [N, Q] and variance [N, Q] of q(f) at X [N, D], the functions that the likelihood reads.

        With `full_cov` covariances between rows [Q, N, N]; with `full_output_cov` between functions [N, Q,
        Q].
        """
        return self.posterior().predict_f(X, full_cov=full_cov, full_output_cov=full_output_cov)

    def predict_y(self, X: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and variance of a new observation at each row of X: [N, P] each."""
        return self.likelihood.predict_mean_and_var(*self.predict_f(X))

    def predict_log_density(self, data: tuple[Any, Any]) -> tf.Tensor:
        """log p(y_n | x_n, training data) for each row of `(X, Y)`: [N] nats."""
        X, Y = as_data(data, self.Z.shape[-1], self.dtype)
        return self.likelihood.predict_log_density(*self.predict_f(X), Y)


def _with_latent_axis(x: tf.Tensor, rank: int) -> tf.Tensor:
    # The adjoint of x[None] would write zeros and copy into them; that of expand_dims is free.
    return tf.expand_dims(x, 0) if x.shape.rank == rank else x


def _count_latents(q_mean: Any, q_sqrt: Any, q_diag: bool, size: int) -> int:
    if q_sqrt is not None and np.ndim(q_sqrt) == (2 if q_diag else 3):
        return int(np.shape(q_sqrt)[0])
    if q_mean is not None and np.ndim(q_mean) == 2:
        rows, columns = np.shape(q_mean)
        return int(rows if columns == size else columns)
    return 1
