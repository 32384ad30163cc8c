"""From a config and scaled training arrays to a model with sensible starting values."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import tensorflow as tf

from svgp import inducing, kernels, likelihoods, means
from svgp.config.model import InducingConfig, ModelConfig
from svgp.likelihoods.start import Level
from svgp.linalg import factorise
from svgp.models.outputs import Outputs
from svgp.models.priors import set_priors
from svgp.models.start.earlier import start_from
from svgp.models.start.one_unit import common_lengths
from svgp.models.start.outputs import empty_kernel, empty_outputs, start_outputs
from svgp.models.start.values import start_values
from svgp.models.svgp import SVGP

PRECISIONS = {  # (parameters and [M, M] work, [M, B] work)
    "float64": (tf.float64, tf.float64),
    "float32": (tf.float32, tf.float32),
    "mixed": (tf.float64, tf.float32),
}

DEFAULT_POINTS = 512  # where nobody has weighed how many there should be: see `svgp.runs.inducing_count`

# In float32 the entries of Kuu carry errors of about 1e-7 each: less jitter than this only moves the
# failure from the factorisation to the numbers that come out of it. The same for Kuf in `mixed`: 1e-5 was
# measured to leave a fifth of the gradient error that 1e-6 leaves (tests/models/test_precision.py).
FLOAT32_JITTER = 1e-5


def build_model(
    config: ModelConfig,
    X: np.ndarray,
    Y: np.ndarray,
    *,
    columns: Any,
    num_data: int | None = None,
    seed: int = 0,
    precision: str = "float64",
    lengthscale_factor: float = 1.0,
) -> tuple[SVGP, list[str]]:
    """The model that `config` describes, started from the training rows X [N, D], Y [N, P].

    Kernel and noise start where `svgp.models.start` says, inducing points where `config.inducing` says, and
    q(u) at the prior, or at the level of the targets (`svgp.likelihoods.start`). `columns`
    (`svgp.data.Columns`) names the inputs and gives their scaling. `lengthscale_factor` multiplies those
    that the data suggest, for another start. `config.start_from` (an earlier run) is instead of all that.
    Returns the model and notes for the user. Raises ModelError and DataError.
    """
    dtype, batch_dtype = PRECISIONS[precision]
    rows = len(X) if num_data is None else num_data
    if config.start_from is not None:
        model, notes = start_from(config, X, columns=columns, num_data=rows, seed=seed, precision=precision)
        return _with_habits(model, config, X, Y), notes
    classes = len(getattr(columns, "classes", None) or [])
    start = start_values(config, X, Y, classes=classes, seed=seed)

    def kernel_of(lengthscales: np.ndarray, variance: float) -> kernels.Kernel:
        return kernels.from_config(
            config.kernel,
            columns.input_names,
            lengthscales=lengthscale_factor * lengthscales,
            variance=variance,
            dtype=dtype,
            X=X,
            Y=Y,
            seed=seed,
        )

    targets = likelihoods.targets_of(config.likelihood, Y, classes)

    def likelihood_of(target_variance: np.ndarray) -> likelihoods.Likelihood:
        return likelihoods.from_config(
            config.likelihood, targets, target_variance=target_variance, dtype=dtype
        )

    likelihood = likelihood_of(start.noise_scale)
    functions = likelihood.num_latent(targets.outputs)
    outputs = start_outputs(config, X, functions, start, kernel_of=kernel_of, seed=seed)
    kernel = outputs.kernel
    if outputs.outputs.mixes:  # what the components leave out is noise, too
        likelihood = likelihood_of(outputs.noise_scale)
    Z, notes = _points(config.inducing, X, kernel, outputs.latents, columns, seed)
    shape = outputs.outputs, outputs.latents
    model = _assemble(config, kernel, likelihood, Z, shape, rows, batch_dtype, columns)
    _start_at_prior(model)
    if start.level is not None and not model.outputs.mixes:
        _start_at_level(model, start.level)
    model.common_lengths = common_lengths(X, columns.input_mean, columns.input_scale)
    return _with_habits(model, config, X, Y), start.notes + notes


def _points(
    config: InducingConfig, X: np.ndarray, kernel: kernels.Kernel, latents: int, columns: Any, seed: int
) -> tuple[np.ndarray, list[str]]:
    """Z [M, D], or [L, M, D] where each latent has its own: by its own kernel and seed. And notes."""

    def chosen(own: kernels.Kernel, latent: int) -> tuple[np.ndarray, list[str]]:
        return inducing.choose(
            X,
            min(DEFAULT_POINTS, len(X)) if config.count == "auto" else config.count,
            config.init,
            kernel=own,
            seed=seed + latent,
            path=config.path,
            min_separation=config.min_separation,
            transform=lambda rows: columns.scale_inputs(np.array(rows, np.float64)),
        )

    if config.shared or latents == 1:
        return chosen(kernel, 0)
    each = kernel.kernels if isinstance(kernel, kernels.Separate) else [kernel] * latents
    found = [chosen(own, latent) for latent, own in enumerate(each)]
    count = min(len(Z) for Z, _ in found)
    notes = list(dict.fromkeys(note for _, notes in found for note in notes))
    if any(len(Z) > count for Z, _ in found):
        notes.append(f"{count} inducing points of each latent: as many as the one with the fewest has")
    return np.stack([Z[:count] for Z, _ in found]), notes


def _with_habits(model: SVGP, config: ModelConfig, X: np.ndarray, Y: np.ndarray) -> SVGP:
    """The model, with what training has to know of it."""
    if config.inducing.keep_in_range:
        model.inducing_range = X.min(axis=0), X.max(axis=0)
    model.replace_redundant = config.inducing.replace_redundant
    model.neighbours = config.neighbours
    model.judged = config.calibration != "none" or config.neighbours.count != 0
    model.lacks_targets = bool(np.isnan(Y).any())
    return model


def skeleton(config: ModelConfig, shapes: dict[str, Any], precision: str) -> SVGP:
    """The model that `config` describes with the given shapes and arbitrary values, to be loaded into."""
    dtype, batch_dtype = PRECISIONS[precision]
    names = shapes["input_names"]
    latents = shapes.get("latents", shapes["outputs"])
    kernel = empty_kernel(
        config,
        latents,
        lambda: kernels.from_config(
            config.kernel, names, lengthscales=np.ones(len(names)), variance=1.0, dtype=dtype
        ),
    )
    outputs = empty_outputs(config.outputs, shapes.get("functions", latents), latents, dtype)
    if "likelihood" in shapes:
        likelihood = likelihoods.restored(config.likelihood, shapes["likelihood"], dtype=dtype)
    else:
        likelihood = _of_first_format(config, shapes, dtype)
    sets = () if config.inducing.shared or latents == 1 else (latents,)
    Z = np.zeros((*sets, shapes["inducing"], len(names)))
    known = SimpleNamespace(input_names=names)  # scales come with the values
    return _assemble(
        config, kernel, likelihood, Z, (outputs, latents), shapes["num_data"], batch_dtype, known
    )


def _of_first_format(config: ModelConfig, shapes: dict[str, Any], dtype: tf.DType) -> likelihoods.Likelihood:
    """The likelihood of a description that does not tell its arguments, as those of svgp 0.1 do not."""
    likelihood = likelihoods.from_config(
        config.likelihood, target_variance=np.ones(shapes["outputs"]), dtype=dtype
    )
    floor = shapes.get("noise_floor")  # of Gaussian noise: 1e-6 of the variance of the targets at the time
    if floor is None:
        return likelihood
    return likelihoods.Gaussian(np.full(likelihood.variance.shape, floor + 1.0), floor=floor, dtype=dtype)


def _assemble(
    config: ModelConfig,
    kernel: kernels.Kernel,
    likelihood: likelihoods.Likelihood,
    Z: np.ndarray,
    shape: tuple[Outputs, int],
    num_data: int | None,
    batch_dtype: tf.DType,
    columns: Any,
) -> SVGP:
    """`shape`: how the latents become functions, and how many they are."""
    outputs, latents = shape
    functions = outputs.num_functions(latents)
    mean = means.from_config(
        config.mean,
        num_inputs=Z.shape[-1],
        num_latent=functions,
        dtype=kernel.dtype,
        input_names=getattr(columns, "input_names", None),
        columns=columns,
    )
    scale = float(np.mean(kernel.K_diag(Z).numpy())) if Z.size else 1.0
    relative = max(config.jitter, FLOAT32_JITTER if batch_dtype == tf.float32 else 0.0)
    model = SVGP(
        kernel,
        likelihood,
        tf.Variable(Z.astype(kernel.dtype.as_numpy_dtype), trainable=config.inducing.trainable, name="Z"),
        num_data=num_data,
        mean=mean,
        whiten=config.posterior.whiten,
        bound=config.bound,
        jitter=relative * scale,
        q_diag=config.posterior.type == "diagonal",
        num_latent=latents,
        outputs=outputs,
        batch_dtype=batch_dtype,
    )
    set_priors(model, config.priors)
    return model


def _start_at_prior(model: SVGP) -> None:
    """q(u) = p(u): the KL starts at zero, and the data pull from there.

    A diagonal q takes the variances 1 / (Kuu^-1)_ii, which have the least KL: the prior's own would start it
    at about tr(Kuu^-1) / 2 times the prior variance, millions of nats.
    """
    if model.whiten:
        return
    factor = factorise(model.Kuu(), model.jitter)  # [M, M] or [L, M, M]
    root = tf.math.rsqrt(tf.reduce_sum(factor.L_inverse**2, -2)) if model.q_diag else factor.L
    model.q_sqrt.assign(tf.broadcast_to(root, model.q_sqrt.shape))


def _start_at_level(model: SVGP, level: Level) -> None:
    """q(u) moved to a latent's mean and narrowed from the prior to `level.around`, where that is wider."""
    share = np.minimum(level.around / np.mean(model.kernel.K_diag(model.Z).numpy(), axis=-1), 1.0)
    share = np.broadcast_to(share, model.num_latent)  # [L]
    if np.all(share == 1.0):
        return
    level_of_latent = np.where(share < 1.0, level.mean, 0.0)  # [L]
    mean = tf.cast(level_of_latent[:, None], model.dtype) * tf.ones_like(model.q_mean)  # [L, M]
    if model.whiten:
        factor = factorise(model.Kuu(), model.jitter)
        mean = tf.linalg.matvec(factor.L_inverse, mean)  # [L, M]
    model.q_mean.assign(mean)
    root = np.reshape(share**0.5, [-1] + [1] * (model.q_sqrt.shape.rank - 1))
    model.q_sqrt.assign(tf.cast(root, model.dtype) * model.q_sqrt)
