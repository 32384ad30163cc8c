"""`model`: kernel, likelihood, mean, inducing points, posterior and bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from svgp.config.base import AbsolutePath, Section, WholeNumber, roles_of, setting
from svgp.config.kernels import KERNELS, Kernel, kernel_sections
from svgp.config.likelihoods import GaussianLikelihood, Likelihood
from svgp.config.means import Mean, ZeroMean
from svgp.config.neighbours import NeighboursConfig
from svgp.config.outputs import OutputsConfig
from svgp.config.priors import PRIOR_ROLES, PriorsConfig


class InducingConfig(Section):
    """The M inducing points: how many, where they start, whether they move."""

    example: ClassVar[str] = "{count: 512, init: kmeans}"

    count: Annotated[WholeNumber, Field(ge=1, le=100_000)] | Literal["auto"] = setting(
        "auto",
        "inducing points M: cost grows as M^2 a row and M^3 a step; auto: as many as a short trial finds "
        "worth it in the time there is",
        unit="points",
    )  # fmt: skip
    init: Literal["kmeans", "random", "greedy_variance", "cover_tree", "file"] = setting(
        "kmeans", "how their starting places are chosen"
    )
    path: AbsolutePath | None = setting(None, "for init: file, a table of inducing inputs (original units)")
    trainable: bool = setting(True, "move the inducing points while training")
    keep_in_range: bool = setting(
        False, "while training, keep them within the smallest and largest value of each input in the data"
    )
    replace_redundant: bool = setting(
        False, "while training, give points that the others make superfluous new places, where the most "
        "variance is unexplained"
    )  # fmt: skip
    shared: bool = setting(
        True, "one set of inducing points for all latent GPs; false: each has 'count' points of its own"
    )
    min_separation: float | None = setting(
        None, "for init: cover_tree, the smallest distance between two of them; null: to reach 'count'",
        unit="lengthscales", gt=0,
    )  # fmt: skip

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.init == "file" and self.path is None:
            yield "path", "missing; init: file needs the path of a table of inducing inputs"
        if self.init != "file" and self.path is not None:
            yield "path", f"is read for init: file only, and init is {self.init}; remove one of them"
        if self.replace_redundant and not self.trainable:
            yield "replace_redundant", "moves inducing points, and trainable: false says that they stay"
        if self.replace_redundant and not self.shared:
            yield (
                "replace_redundant",
                "moves points that all latents share, and shared: false gives each its own",
            )
        if self.init != "cover_tree" and self.min_separation is not None:
            yield "min_separation", f"is for init: cover_tree only, and init is {self.init}"


class PosteriorConfig(Section):
    """q(u) = N(m, S)."""

    example: ClassVar[str] = "{type: full, whiten: false}"

    type: Literal["full", "diagonal"] = setting("full", "the covariance S: full, or its diagonal alone")
    whiten: bool = setting(False, "represent q(v) with u = L v, Kuu = L L^T, instead of q(u)")


class ModelConfig(Section):
    """The model: prior, likelihood, and how the posterior is approximated."""

    example: ClassVar[str] = "{kernel: {type: matern32}}"

    kernel: Kernel = setting(KERNELS[KERNELS.default], "the covariance function, a sum or a product of them")
    likelihood: Likelihood = setting(GaussianLikelihood, "how an observation scatters around the function")
    mean: Mean = setting(ZeroMean, "the prior mean function; a word such as linear, or a mapping")
    outputs: OutputsConfig = setting(OutputsConfig, "how latent GPs make up several targets")
    inducing: InducingConfig = setting(InducingConfig, "the inducing points")
    neighbours: NeighboursConfig = setting(NeighboursConfig, "predictions that see nearby training rows")
    calibration: Literal["leave_one_out", "none"] = setting(
        "leave_one_out",
        "how wide predictions are (after training; the ELBO does not change): as training rows that are left "
        "out say, by factors on noise and unexplained variance and the shape of the errors; none: as the "
        "model says",
    )
    posterior: PosteriorConfig = setting(PosteriorConfig, "the family of q(u)")
    priors: PriorsConfig = setting(
        PriorsConfig, "priors on hyperparameters: training then finds the most probable ones (MAP)"
    )
    start_from: AbsolutePath | None = setting(
        None, "folder of an earlier run: start from its hyperparameters, inducing points and q(u), and scale "
        "the columns as it did; a larger inducing.count adds points to its own",
    )  # fmt: skip
    bound: Literal["standard", "tight", "ppgpr"] = setting(
        "tight",
        "what training raises: a lower bound on the log evidence (the standard one, or a tighter one, which "
        "counts unexplained variance for less than noise), or with ppgpr the log density that "
        "the model predicts for the training rows, less the KL (the ELBO is reported beside it)",
    )
    jitter: float = setting(
        1e-6, "added to the diagonal of Kuu before it is factorised; more is tried when that fails",
        unit="the mean diagonal of Kuu", ge=0, le=1e-1,
    )  # fmt: skip

    @property
    def separate_kernels(self) -> bool:
        """Whether each latent has a kernel of its own: unasked also where targets are of different kinds."""
        mixed = self.outputs.type == "independent" and "+" in self.likelihood.target_task
        return self.outputs.separate or (mixed and self.outputs.kernels is None)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        own = {"likelihood": roles_of(type(self.likelihood)), "kernel": set[str]()}
        if self.likelihood.has_noise:
            own["likelihood"].add("noise")
        own["kernel"] = own["kernel"].union(
            *(roles_of(type(part)) for _, part in kernel_sections(self.kernel))
        )
        for name, _ in self.priors.given:
            owners, roles = PRIOR_ROLES[name]
            if not any(own[owner] & roles for owner in owners):
                word = sorted(roles)[0]
                said = {
                    "kernel": f"no kernel here has a {word}",
                    "likelihood": f"a '{self.likelihood.type_name}' likelihood has no {word} parameter",
                }
                yield f"priors.{name}", f"{' and '.join(said[owner] for owner in owners)}; remove it"
