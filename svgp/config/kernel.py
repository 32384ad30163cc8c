"""`model.kernel`: one covariance function, or a sum or product of them, nested as deep as one likes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import Discriminator, Field, Tag

from svgp.config.base import Names, Section, repeated, setting

STATIONARY = ("squared_exponential", "matern12", "matern32", "matern52")
KernelType = Literal["squared_exponential", "matern12", "matern32", "matern52", "linear", "constant", "white"]

# Which settings mean something for which type; an override that changes the type keeps only these.
KERNEL_KEYS: dict[str, tuple[str, ...]] = {
    **{name: ("type", "ard", "variance", "lengthscales", "inputs") for name in STATIONARY},
    "linear": ("type", "ard", "variance", "inputs"),
    "constant": ("type", "variance"),
    "white": ("type", "variance"),
}

Positive = Annotated[float, Field(gt=0)]


def _one_or_each(value: Any) -> str:
    return "<each>" if isinstance(value, (list, tuple)) else "<one>"


class SingleKernel(Section):
    """One covariance function. Numbers left at null start from the data."""

    example: ClassVar[str] = "{type: matern32, ard: true}"

    type: KernelType = setting("matern32", "the covariance function")
    ard: bool = setting(True, "one lengthscale for each input (automatic relevance determination), or one")
    variance: float | None = setting(
        None, "prior variance to start from; null: from the data",
        unit="squared units of the (standardised) target", gt=0,
    )  # fmt: skip
    lengthscales: (
        Annotated[
            Union[Annotated[Positive, Tag("<one>")], Annotated[list[Positive], Tag("<each>")]],  # noqa: UP007
            Discriminator(_one_or_each),
        ]
        | None
    ) = setting(
        None, "lengthscales to start from: one number, or one for each input; null: from the data",
        unit="(standardised) input units",
    )  # fmt: skip
    inputs: Names | None = setting(None, "the input columns that it acts on; null: all of them")

    def conflicts(self) -> Iterator[tuple[str, str]]:
        known = KERNEL_KEYS[self.type]
        if self.lengthscales is not None and "lengthscales" not in known:
            yield "lengthscales", f"a '{self.type}' kernel has no lengthscale; remove it"
        if self.inputs is not None and "inputs" not in known:
            yield "inputs", f"a '{self.type}' kernel does not look at the inputs; remove it"
        if isinstance(self.lengthscales, list):
            if not self.ard:
                yield "lengthscales", "ard: false has one lengthscale; give one number, or set ard: true"
            elif not self.lengthscales:
                yield "lengthscales", "an empty list; give one number, or one for each input"
        if self.inputs is not None and not self.inputs:
            yield "inputs", "an empty list: it would act on nothing; null takes all inputs"
        for name in repeated(self.inputs or []):
            yield "inputs", f"'{name}' listed more than once"


class SumKernel(Section):
    """The sum of its parts' covariances: independent functions added."""

    example: ClassVar[str] = "{sum: [{type: matern32}, {type: linear}]}"

    sum: list[Kernel] = setting(..., "the kernels to add", min_length=1)


class ProductKernel(Section):
    """The product of its parts' covariances."""

    example: ClassVar[str] = "{product: [{type: matern32}, {type: linear}]}"

    product: list[Kernel] = setting(..., "the kernels to multiply", min_length=1)


def _shape(value: Any) -> str:
    if isinstance(value, SumKernel) or (isinstance(value, Mapping) and "sum" in value):
        return "<sum>"
    if isinstance(value, ProductKernel) or (isinstance(value, Mapping) and "product" in value):
        return "<product>"
    return "<single>"


Kernel = Annotated[
    Union[  # noqa: UP007
        Annotated[SingleKernel, Tag("<single>")],
        Annotated[SumKernel, Tag("<sum>")],
        Annotated[ProductKernel, Tag("<product>")],
    ],
    Discriminator(_shape),
]


def single_kernels(kernel: Kernel, key: str = "") -> Iterator[tuple[str, SingleKernel]]:
    """Every single kernel of a tree with its dotted key below the root (`sum.0`, `product.1.sum.0`)."""
    if isinstance(kernel, SingleKernel):
        yield key, kernel
        return
    shape, parts = ("sum", kernel.sum) if isinstance(kernel, SumKernel) else ("product", kernel.product)
    for index, part in enumerate(parts):
        yield from single_kernels(part, f"{key}.{shape}.{index}".lstrip("."))
