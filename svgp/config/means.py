"""`model.mean`: the prior mean function, what predictions far from all data return to."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from svgp.config.base import Section, Text, WholeNumber, setting
from svgp.config.nodes import Node, Problem
from svgp.config.registry import Registry


def spelled_out(node: Node, problems: list[Problem]) -> Node:
    """A word, `linear`, is `{type: linear}`."""
    if not isinstance(node.content, str):
        return node
    return Node({"type": Node(node.content, node.place, key=node.place)}, node.place, key=node.key)


MEANS = Registry("mean", default="zero", spelled_out=spelled_out)


class MeanSection(Section):
    """A mean function. `builds` is the dotted path of its class."""

    builds: ClassVar[str] = ""
    example: ClassVar[str] = "{type: linear}"

    @property
    def plain_inputs(self) -> tuple[str, ...]:
        """Inputs that it reads in their own units."""
        return ()


Mean = Annotated[MeanSection, MEANS]


@MEANS.register
class ZeroMean(MeanSection):
    """Zero: the mean of standardised targets."""

    example: ClassVar[str] = "{type: zero}"
    builds: ClassVar[str] = "svgp.means.functions.Zero"

    type: Literal["zero"] = setting("zero", "the mean of the targets, where these are standardised")


@MEANS.register
class ConstantMean(MeanSection):
    """A learned constant."""

    example: ClassVar[str] = "{type: constant}"
    builds: ClassVar[str] = "svgp.means.functions.Constant"

    type: Literal["constant"] = setting(..., "a learned constant")


@MEANS.register
class LinearMean(MeanSection):
    """A learned straight line."""

    builds: ClassVar[str] = "svgp.means.functions.Linear"

    type: Literal["linear"] = setting(..., "a learned straight line")


@MEANS.register
class PolynomialMean(MeanSection):
    """A learned polynomial of each input, added up."""

    example: ClassVar[str] = "{type: polynomial, degree: 2}"
    builds: ClassVar[str] = "svgp.means.polynomial.Polynomial"

    type: Literal["polynomial"] = setting(..., "a learned polynomial of each input")
    degree: WholeNumber = setting(2, "of the polynomials", unit="a degree", ge=1, le=10)


@MEANS.register
class NetworkMean(MeanSection):
    """A small network of dense layers, learned with the rest. It can overfit."""

    example: ClassVar[str] = "{type: network, layers: [32, 16]}"
    builds: ClassVar[str] = "svgp.means.network.NetworkMean"

    type: Literal["network"] = setting(..., "a small network")
    layers: list[Annotated[WholeNumber, Field(ge=1, le=10_000)]] = setting(
        [32, 16], "units of each hidden layer", min_length=1
    )


@MEANS.register
class ColumnMean(MeanSection):
    """A column of the table, in the target's units: the model learns what differs from it."""

    example: ClassVar[str] = "{type: column, column: forecast}"
    builds: ClassVar[str] = "svgp.means.column.Column"

    type: Literal["column"] = setting(..., "a column of the table")
    column: Text = setting(..., "one of the inputs, a number in the target's units")

    @property
    def plain_inputs(self) -> tuple[str, ...]:
        return (self.column,)
