"""A likelihood for each of several targets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from svgp.config.base import setting
from svgp.config.likelihoods.base import LIKELIHOODS, Likelihood, LikelihoodSection, Task


@LIKELIHOODS.register
class SwitchedLikelihood(LikelihoodSection):
    """Target p has the likelihood parts[p]."""

    example: ClassVar[str] = "{type: switched, parts: [{type: gaussian}, {type: student_t}]}"
    builds: ClassVar[str] = "svgp.likelihoods.switched.Switched"
    task: ClassVar[Task] = "regression"
    suits: ClassVar[str] = "several targets of different kinds: numbers, positive ones, shares, counts"
    has_noise: ClassVar[bool] = False

    type: Literal["switched"] = setting(..., "a likelihood for each target")
    parts: list[Likelihood] = setting(..., "the likelihoods, in the order of data.target", min_length=2)

    @property
    def target_task(self) -> str:
        tasks = [part.task for part in self.parts]
        return tasks[0] if len(set(tasks)) == 1 else "+".join(tasks)

    def conflicts(self) -> Iterator[tuple[str, str]]:
        for part in self.parts:
            labels = part.task in ("binary", "multiclass", "ordinal")
            if labels or part.type_name in ("heteroskedastic", "switched"):
                yield "parts", f"'{part.type_name}' cannot be one of several likelihoods; train one run each"
            if part.extra_columns:
                yield "parts", f"'{part.type_name}' reads a column beside its target; train one run each"
