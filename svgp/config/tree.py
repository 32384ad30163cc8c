"""The whole config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator

from svgp.config.base import AbsolutePath, Section, WholeNumber, quoted, refusal, setting
from svgp.config.data import DataConfig
from svgp.config.kernels import kernel_sections
from svgp.config.model import ModelConfig
from svgp.config.train import TrainConfig

SCHEMA_VERSION = 1


def _folder_name(name: str) -> str:
    forbidden = '/\\:*?"<>|'
    if name != name.strip() or name.startswith(".") or any(c in forbidden or ord(c) < 32 for c in name):
        shown = " ".join(forbidden)
        raise refusal(f"expected a name that can be a folder's: no dot first, none of {shown}; got {name!r}")
    return name


def _known_version(version: int) -> int:
    if version != SCHEMA_VERSION:
        raise refusal(f"expected {SCHEMA_VERSION}, the version that this svgp reads, got {version}")
    return version


class OutputConfig(Section):
    """Where runs are kept."""

    example: ClassVar[str] = "{dir: runs}"

    dir: AbsolutePath = setting(
        Path("runs"),
        "the folder of all runs: <dir>/<name>/<UTC timestamp>; not stated: runs in the working directory",
    )


class Config(Section):
    """Everything that defines a run: data, model, training and output.

    Paths in it are absolute. Build one by `load_config` or `Config.from_dict`, whose errors
    name the key; the plain constructor works too and raises pydantic's ValidationError.
    """

    example: ClassVar[str] = "{data: {path: table.csv, target: y}}"

    schema_version: Annotated[WholeNumber, AfterValidator(_known_version)] = setting(
        SCHEMA_VERSION, "the version of this schema", unit="a version", ge=1
    )
    name: Annotated[str, AfterValidator(_folder_name)] = setting(
        "run", "what the runs are called; a folder of this name holds them", min_length=1, max_length=100
    )
    data: DataConfig = setting(..., "the table to learn from")
    model: ModelConfig = setting(ModelConfig, "the model")
    train: TrainConfig = setting(TrainConfig, "how it is trained")
    output: OutputConfig = setting(OutputConfig, "where runs are kept")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        likelihood, targets = self.model.likelihood, self.data.target
        if not likelihood.several_targets and len(targets) > 1:
            yield (
                "data.target",
                f"{len(targets)} targets, and a {likelihood.type_name} likelihood predicts one; choose one",
            )
        transform = self.data.target_transform
        if transform != "none" and likelihood.target_task != "regression":
            yield (
                "data.target_transform",
                f"{transform} is for regressions, and a {likelihood.type_name} likelihood is none; use none",
            )
        if transform == "log" and likelihood.type_name == "student_t":
            yield (
                "data.target_transform",
                "a target whose logarithm has Student's t noise has no mean; use quantile, or gaussian noise",
            )
        yield from self._kernel_conflicts()
        if self.model.bound == "ppgpr" and self.train.method in ("collapsed", "natgrad"):
            yield (
                "train.method",
                f"{self.train.method} looks for the q(u) of the highest ELBO, and model.bound: ppgpr asks "
                "for another one; use adam or auto",
            )
        if self.train.method == "collapsed":
            if not likelihood.collapsible:
                yield (
                    "train.method",
                    (
                        "collapsed has a closed form for a gaussian likelihood of one noise variance only, "
                        f"and this one is {likelihood.type_name}; use natgrad, adam or auto"
                    ),
                )
            if self.model.posterior.type == "diagonal":
                yield "train.method", "collapsed finds the full q(u); set model.posterior.type: full"

    def _kernel_conflicts(self) -> Iterator[tuple[str, str]]:
        for below, kernel in kernel_sections(self.model.kernel):
            key = f"model.kernel.{below}.inputs".replace("..", ".")
            chosen = getattr(kernel, "inputs", None) or []
            target = sorted(set(chosen) & set(self.data.target))
            if target:
                yield key, f"{quoted(target)} is the target; a kernel acts on inputs"
            # One-hot columns get names of their own, which only the data layer knows.
            if self.data.inputs is not None and not self.data.categorical:
                unknown = sorted(set(chosen) - set(self.data.inputs) - set(target))
                if unknown:
                    yield key, f"{quoted(unknown)} is not among data.inputs; add it there or remove it here"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Config:
        """Validate plain data; relative paths are taken from the working directory. Raises ConfigError."""
        from svgp.config.nodes import from_python
        from svgp.config.validation import validate

        return validate(cls, from_python(values))

    def to_dict(self) -> dict[str, Any]:
        """Plain data (text, numbers, lists, mappings) with every field stated and every path absolute."""
        return self.model_dump(mode="json")

    def to_yaml(self) -> str:
        """The resolved config: every field stated, every path absolute; it reloads to an equal Config."""
        from svgp.config.writer import yaml_text

        return yaml_text(self.to_dict())
