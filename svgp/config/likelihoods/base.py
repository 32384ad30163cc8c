"""What the sections of all likelihoods have in common, and the table of them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from svgp.config.base import Section
from svgp.config.registry import Registry

Task = Literal["regression", "binary", "multiclass", "ordinal", "count", "positive", "share"]

LIKELIHOODS = Registry("likelihood", default="gaussian")


class LikelihoodSection(Section):
    """The settings of one likelihood, and what is known of it without TensorFlow."""

    builds: ClassVar[str]  # the dotted path of its class
    task: ClassVar[Task]
    suits: ClassVar[str]  # a target that it suits, for the comment in a config
    several_targets: ClassVar[bool] = True  # whether it may predict a list of them
    has_noise: ClassVar[bool] = True  # whether it has a scale that model.priors.noise may hold

    @property
    def target_task(self) -> str:
        """The task of the targets; of several kinds (`switched`) all of them, joined by +."""
        return self.task

    @property
    def type_name(self) -> str:
        """The word that chooses it."""
        return str(getattr(self, "type"))  # noqa: B009

    @property
    def collapsible(self) -> bool:
        """Whether the best q(u) has a closed form."""
        return False

    def functions(self, targets: int, classes: int = 0) -> int:
        """Q: how many latent functions so many targets have, `classes` of a classification."""
        return targets

    @property
    def extra_columns(self) -> dict[str, str]:
        """Columns that it reads beside the targets, by what they are: `{"exposure": "hours"}`."""
        return {}


Likelihood = Annotated[LikelihoodSection, LIKELIHOODS]
