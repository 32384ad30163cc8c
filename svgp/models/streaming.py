"""New rows folded into q(u) without the old ones (Bui, Nguyen & Turner 2017, "Streaming sparse GP
approximations").

What the old rows said is in the old q(u), as a Gaussian factor on the old inducing values a:

    q_old(a) / p_old(a)  =  exp(l^T a - a^T Lam a / 2) / constant

With the old points among the new ones, b = (a, further), their bound (eq. 5) is

    F(q, theta) = sum_new E_q[log p(y_n | f_n)] + E_q[l^T a - a^T Lam a / 2] - KL(q(b) || p_theta(b))

less a constant: pseudo-data at the old points, and an ordinary bound. In the whitened frame, and in the dual
parameters of `svgp.models.dual.algebra`, the factor is a precision W0 and a shift e0 that are added to those
of the new rows. Gaussian noise: one step to the optimum, which for unchanged hyperparameters is that of all
rows together, exactly. Other likelihoods: natural-gradient steps. The old rows' likelihood is as the old q(u)
approximated it: what that did not resolve is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from scipy.optimize import minimize

from svgp.errors import NumericalError
from svgp.linalg import factorise
from svgp.linalg.marginals import marginals
from svgp.models.bounds import require_elbo
from svgp.models.dual import algebra as dual
from svgp.models.dual.prior import batch_prior, data_term
from svgp.models.whitened import Frame, assign_whitened, frame_of, whitened

ENTRIES = 1 << 21  # numbers of one [L, M, B] matrix
STEPS = 100
GAIN = 1e-9  # of the bound: what a step must bring for another one to be taken
HALVINGS = 12


@dataclass(frozen=True)
class Memory:
    """What the rows so far say of the model's first points: W0 `[L, m, m]`, e0 `[L, m]`, and the frame."""

    precision: np.ndarray
    shift: np.ndarray
    frame: Frame

    def seen_from(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """W0 `[L, M, M]` and e0 `[L, M]` in a frame of as many points or more, whatever the kernel now."""
        size, wide = self.shift.shape[-1], frame.L.shape[-1]
        G = self.frame.L_inverse @ frame.L[:, :size, :size]  # [1 or L, m, m]
        precision = np.zeros((len(self.shift), wide, wide))
        precision[:, :size, :size] = G.swapaxes(-1, -2) @ self.precision @ G
        shift = np.zeros((len(self.shift), wide))
        shift[:, :size] = (G.swapaxes(-1, -2) @ self.shift[..., None])[..., 0]
        return precision, shift


class Streamed(NamedTuple):
    """`bound`: F, in nats, up to its constant; `passes` over the new rows."""

    bound: float
    passes: int


class _Pass(NamedTuple):
    """Over the new rows at one q(v)."""

    bound: float
    precision: np.ndarray  # [L, M, M] where a full natural-gradient step leads
    shift: np.ndarray  # [L, M]


def remember(model: Any) -> Memory:
    """What the model's q(u) holds of its training rows. Raises ModelError for `bound: ppgpr`."""
    require_elbo(model, "update")
    frame = frame_of(model)
    m, root = (tf.constant(x) for x in whitened(model, frame))
    precision, shift = dual.from_mean_and_root(m, root)
    return Memory(precision.numpy(), shift.numpy(), frame)


def fold_in(model: Any, memory: Memory, X: np.ndarray, Y: np.ndarray) -> Streamed:
    """Give `model` the q(u) that maximises F for new rows X `[N, D]`, Y `[N, P]`, hyperparameters as they
    are.

    The model's first points must be those of `memory`. Starts from the model's q(u). Raises NumericalError.
    """
    frame = frame_of(model)
    base = memory.seen_from(frame)
    W, e = (x.numpy() for x in dual.from_mean_and_root(*map(tf.constant, whitened(model, frame))))
    now, passes, rho = _look(model, frame, base, W, e, X, Y), 1, 1.0
    if not np.isfinite(now.bound):
        raise NumericalError("update: the bound is not finite at the start; are the new rows in order?")
    for _ in range(STEPS):
        for _ in range(HALVINGS):
            trial_W, trial_e = W + rho * (now.precision - W), e + rho * (now.shift - e)
            trial, passes = _look(model, frame, base, trial_W, trial_e, X, Y), passes + 1
            if trial.bound >= now.bound - GAIN * abs(now.bound):  # False for NaN
                break
            rho *= 0.5
        else:
            break
        gain, W, e, now = trial.bound - now.bound, trial_W, trial_e, trial
        if gain <= GAIN * (1.0 + abs(now.bound)):
            break
        rho = min(1.0, 2.0 * rho)
    m, root = dual.mean_and_root(tf.constant(W), tf.constant(e))
    assign_whitened(model, frame, m.numpy(), root.numpy())
    return Streamed(now.bound, passes)


def refresh(
    model: Any, memory: Memory, X: np.ndarray, Y: np.ndarray, *, steps: int = 20,
    keep_going: Callable[[], bool] = lambda: True,
) -> Streamed:  # fmt: skip
    """`fold_in` with kernel, likelihood and mean fitted as well: `steps` of L-BFGS on F with q maximised out.

    By the envelope theorem its gradient is that with q(u) held, where the old rows' factor does not move. Z
    stays. What old rows said of the hyperparameters is known as far as q(u) shows it, so few new rows can
    lead them astray. Raises NumericalError where F does not exist at the start.
    """
    variables = _adjustable(model)
    start = [v.numpy().astype(np.float64) for v in variables]
    sizes = np.cumsum([0, *(v.size for v in start)])
    best = fold_in(model, memory, X, Y)
    passes = best.passes

    def put(x: np.ndarray) -> None:
        for v, low, high in zip(variables, sizes[:-1], sizes[1:], strict=True):
            v.assign(x[low:high].reshape(v.shape).astype(v.dtype.as_numpy_dtype))

    def negative(x: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal passes
        put(x)
        try:
            found = fold_in(model, memory, X, Y)
        except NumericalError:
            return 1e25, np.zeros_like(x)
        passes += found.passes + 1
        return -found.bound, -_gradient(model, variables, X, Y)

    x = np.concatenate([v.ravel() for v in start]) if start else np.zeros(0)
    if len(x) and keep_going():
        limits = [(value - 3.0, value + 3.0) for value in x]  # a factor of 20 either way: new rows alone
        x = minimize(negative, x, jac=True, method="L-BFGS-B", bounds=limits, options={"maxiter": steps}).x
        put(x)
        best = fold_in(model, memory, X, Y)
    return Streamed(best.bound, passes + best.passes)


def _adjustable(model: Any) -> list[tf.Variable]:
    held = {id(v) for v in (model.q_mean, model.q_sqrt, model.Z)}
    return [v for v in model.trainable_variables if id(v) not in held]


def _blocks(model: Any, X: np.ndarray, Y: np.ndarray) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    step = max(256, ENTRIES // (model.num_inducing * model.num_latent))
    for first in range(0, len(X), step):
        rows = slice(first, first + step)
        yield tf.constant(X[rows], model.dtype), tf.constant(Y[rows], model.dtype)


def _look(
    model: Any, frame: Frame, base: tuple[np.ndarray, np.ndarray], W: np.ndarray, e: np.ndarray,
    X: np.ndarray, Y: np.ndarray,
) -> _Pass:  # fmt: skip
    """F and the target of the natural gradient at dual parameters W, e."""
    m, root = (x.numpy() for x in dual.mean_and_root(tf.constant(W), tf.constant(e)))
    S = root @ root.swapaxes(-1, -2)  # [L, M, M]
    diagonal = np.diagonal(root, axis1=-2, axis2=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        kl = 0.5 * (np.trace(S, axis1=-2, axis2=-1).sum() + np.sum(m**2) - m.size) - np.log(diagonal).sum()
    bound = np.sum(base[1] * m) - 0.5 * np.sum(base[0] * (S + m[:, :, None] * m[:, None, :])) - kl
    precision, shift = base[0].copy(), base[1].copy()
    one = tf.constant(1.0, tf.float64), tf.constant(0.0, tf.float64)
    for x, y in _blocks(model, X, Y):
        prior = batch_prior(model, x)
        A = tf.matmul(frame.L_inverse, prior.Kuf)  # [1 or L, M, B]
        C = tf.matmul(root, A, transpose_a=True)
        mean = tf.linalg.matvec(A, m, transpose_a=True)  # [L, B]
        residual = prior.kff - tf.reduce_sum(A * A, -2) + tf.zeros_like(mean)
        term = data_term(model, [], mean, tf.reduce_sum(C * C, -2), residual, prior.mean, y, one)
        target = -2.0 * dual.moments(A, term.rows).explained.numpy()  # [L, M, M]
        precision += target
        shift += tf.linalg.matvec(A, term.rows.mean).numpy() + (target @ m[..., None])[..., 0]
        bound += float(term.value)
    return _Pass(float(bound), precision, shift)


def _gradient(model: Any, variables: Sequence[tf.Variable], X: np.ndarray, Y: np.ndarray) -> np.ndarray:
    """Of F by `variables`, q(u) held: the model's own, unwhitened."""
    frame = frame_of(model)
    m, root = whitened(model, frame)
    q_mean, q_sqrt = ((frame.L @ x).astype(np.float64) for x in (m[..., None], root))
    q_mean, q_sqrt = tf.constant(q_mean[..., 0]), tf.constant(np.tril(q_sqrt))
    total = [np.zeros(v.shape) for v in variables]
    for index, (x, y) in enumerate(_blocks(model, X, Y)):
        with tf.GradientTape() as tape:
            prior = batch_prior(model, x)
            factor = factorise(prior.Kuu, model.jitter)
            q = marginals(prior.Kuu, prior.Kuf, prior.kff, q_mean, q_sqrt, factor, whiten=False)
            mean = tf.transpose(q.mean) + prior.mean
            explained, residual = tf.transpose(q.explained), tf.maximum(tf.transpose(q.residual), 0.0)
            mean, explained, residual = (tf.cast(x, model.dtype) for x in (mean, explained, residual))
            per_row, _ = model.bound.terms(model, mean, explained, residual, y)
            value = tf.cast(tf.reduce_sum(per_row), tf.float64)
            if index == 0:
                value -= tf.reduce_sum(q.kl)
        found = tape.gradient(value, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        for array, gradient in zip(total, found, strict=True):
            array += np.asarray(tf.convert_to_tensor(gradient), np.float64)
    return np.concatenate([array.ravel() for array in total])
