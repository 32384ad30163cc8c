"""`model.outputs`: how latent GPs make up several targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from svgp.config.base import Section, WholeNumber, setting

MOST_LATENTS = 5  # that an lmc has where the config leaves it open


class OutputsConfig(Section):
    """From latent GPs to the functions of several targets."""

    example: ClassVar[str] = "{type: lmc, latents: 3}"

    type: Literal["independent", "lmc", "icm"] = setting(
        "independent",
        "independent: each target has latent GPs of its own; lmc (linear coregionalisation): targets are "
        "mixtures W of so many latents, each with a kernel of its own; icm (intrinsic coregionalisation): "
        "one kernel, and a covariance B = W W^T + diag(kappa) between targets",
    )
    latents: WholeNumber | None = setting(
        None, "for lmc the number of latent GPs (null: as many as targets, at most 5), for icm the rank of W "
        "(null: 1)", unit="latent GPs", ge=1, le=1000,
    )  # fmt: skip
    kernels: Literal["shared", "separate"] | None = setting(
        None, "one kernel for all latents, or one for each; null: separate for lmc, else shared"
    )  # fmt: skip

    @property
    def separate(self) -> bool:
        """Whether each latent has a kernel of its own."""
        return self.kernels == "separate" or (self.kernels is None and self.type == "lmc")

    def latent_count(self, functions: int) -> int:
        """L, the latent GPs of so many functions."""
        if self.type == "independent":
            return functions
        if self.type == "icm":
            return functions + (self.latents or 1)
        return self.latents or min(functions, MOST_LATENTS)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.type == "independent" and self.latents is not None:
            yield "latents", "is for types lmc and icm; independent targets have latents of their own"
        if self.type == "icm" and self.kernels == "separate":
            yield "kernels", "icm has one kernel by definition; use type: lmc for separate ones"
