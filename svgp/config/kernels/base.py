"""What kernels' sections share: a table by type, the inputs that they act on, and how they nest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Union

from pydantic import Discriminator, Field, Tag, model_validator

from svgp.config.base import Names, Section, repeated, setting
from svgp.config.kernels.expression import parsed
from svgp.config.nodes import Node, Problem
from svgp.config.registry import Registry


def spelled_out(node: Node, problems: list[Problem]) -> Node:
    """Short forms in full: an expression, `{periodic: {...}}`, and `features:` on a kernel.

    `{type: matern32, features: {layers: [...]}}` is `{type: deep, layers: [...], base: {type: matern32}}`.
    """
    if isinstance(node.content, str):
        node = parsed(node, problems)
    if not isinstance(node.content, dict):
        return node
    content = dict(node.content)
    (word, below), *others = content.items() if content else [("", Node(None, node.place))]
    if not others and word in KERNELS.types and (below.content is None or below.mapping):
        content = {"type": Node(word, below.key or below.place, key=below.key), **below.mapping}
    for key, child in content.items():
        if key == "base" and _holds_kernel(_word(content), key):
            content[key] = replace(spelled_out(child, problems), key=child.key)
        elif key in ("sum", "product", "kernels") and isinstance(child.content, list):
            content[key] = replace(child, content=[spelled_out(part, problems) for part in child.content])
    if "features" in content and "features" not in KERNELS.keys(_word(content)):
        features = content.pop("features")
        inputs = {key: content.pop(key) for key in ("inputs",) if key in content}
        base = replace(node, content=content, key=features.key)
        if features.content is None:
            return base
        content = {"type": Node("deep", features.place, key=features.key), **inputs, **features.mapping}
        content["base"] = base
    return replace(node, content=content)


def _holds_kernel(word: str, key: str) -> bool:
    """Whether a key of a section is a kernel itself; of an unknown one it is supposed."""
    section = KERNELS.get(word)
    return section is None or key not in section.model_fields or KERNELS in section.model_fields[key].metadata


def _word(content: dict[str, Node]) -> str:
    return str(content["type"].content) if "type" in content else KERNELS.default


KERNELS = Registry("kernel", default="matern32", spelled_out=spelled_out)

Positive = Annotated[float, Field(gt=0)]

# Configs of runs before each kernel had a section of its own state these for every kernel.
_ONCE_STATED = {"ard": True, "lengthscales": None, "inputs": None}


class KernelSection(Section):
    """A covariance function. `builds` is the dotted path of its class (see `svgp.kernels.builder`)."""

    builds: ClassVar[str] = ""
    example: ClassVar[str] = "{type: matern32, ard: true}"

    @model_validator(mode="before")
    @classmethod
    def _forget_what_meant_nothing(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        meant_nothing = [
            key
            for key, value in _ONCE_STATED.items()
            if key not in cls.model_fields and key in values and values[key] is value
        ]
        return {key: value for key, value in values.items() if key not in meant_nothing}


Kernel = Annotated[KernelSection, KERNELS]


class OnInputs(KernelSection):
    """A kernel that looks at the inputs, all or some of them."""

    type: str = setting(..., "the covariance function")
    inputs: Names | None = setting(None, "the input columns that it acts on; null: all of them")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        if self.inputs is not None and not self.inputs:
            yield "inputs", "an empty list: it would act on nothing; null takes all inputs"
        for name in repeated(self.inputs or []):
            yield "inputs", f"'{name}' listed more than once"


def one_or_each(value: Any) -> str:
    """The tag of a setting that is one number, or one for each input."""
    return "<each>" if isinstance(value, (list, tuple)) else "<one>"


OneOrEach = Annotated[
    Union[Annotated[Positive, Tag("<one>")], Annotated[list[Positive], Tag("<each>")]],  # noqa: UP007
    Discriminator(one_or_each),
]


def variance_setting(description: str = "prior variance to start from; null: from the data") -> Any:
    """The field `variance` of a kernel."""
    return setting(
        None, description, unit="squared units of the (standardised) target", role="variance", gt=0
    )


def kernel_sections(kernel: Section, key: str = "") -> Iterator[tuple[str, KernelSection]]:
    """Every section of a kernel's tree but sums and products, with its dotted key below the root."""
    if "type" in type(kernel).model_fields and isinstance(kernel, KernelSection):
        yield key, kernel
    for name in type(kernel).model_fields:
        value = getattr(kernel, name)
        if isinstance(value, KernelSection):
            yield from kernel_sections(value, f"{key}.{name}".lstrip("."))
        elif isinstance(value, list):
            for index, part in enumerate(value):
                if isinstance(part, KernelSection):
                    yield from kernel_sections(part, f"{key}.{name}.{index}".lstrip("."))


def kernel_section(type: str = KERNELS.default, **settings: Any) -> KernelSection:
    """One kernel's section: `kernel_section("linear", inputs=["x"])`. KeyError for an unknown type."""
    return KERNELS[type].model_validate({"type": type, **settings})  # type: ignore[return-value]
