"""A table of sections: chosen by a word, extended from outside, also after a first validation."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import pytest

from svgp.config.base import Section, setting
from svgp.config.nodes import from_python
from svgp.config.registry import Registry, load_class
from svgp.config.schema import alternatives
from svgp.config.validation import validate
from svgp.errors import ConfigError, ModelError

SHAPES = Registry("shape", default="round")
Shape = Annotated[Section, SHAPES]


@SHAPES.register
class Round(Section):
    """A disc."""

    example: ClassVar[str] = "{type: round}"
    builds: ClassVar[str] = "fractions.Fraction"

    type: Literal["round", "oval"] = setting("round", "a disc")
    radius: float = setting(1.0, "its radius", gt=0)


@SHAPES.register
class Pile(Section):
    """Shapes on top of each other."""

    example: ClassVar[str] = "{pile: [{type: round}]}"

    pile: list[Shape] = setting(..., "the shapes")


class Picture(Section):
    """A shape."""

    example: ClassVar[str] = "{shape: {type: round}}"

    shape: Shape = setting(Round, "what is drawn")
    other: Shape | None = setting(None, "what else is drawn")


def read(value: object) -> Picture:
    return validate(Picture, from_python({"shape": value}))


def test_a_word_or_a_key_chooses_the_section() -> None:
    assert read({}).shape == Round() and read({"type": "oval"}).shape == Round(type="oval")
    pile = read({"pile": [{"radius": 2.0}, {"pile": []}]})
    assert pile.shape == Pile(pile=[Round(radius=2.0), Pile(pile=[])])
    assert validate(Picture, from_python(pile.model_dump(mode="json"))) == pile
    assert {found.tag for found in alternatives(Picture.model_fields["other"].annotation)} >= {
        "<pile>",
        "<oval>",
    }
    choices = Picture.model_json_schema()["properties"]["shape"]["oneOf"]
    assert {choice["$ref"] for choice in choices} == {"#/$defs/Round", "#/$defs/Pile"}


@pytest.mark.parametrize(
    "value, said",
    [
        ({"type": "rond"}, "shape.type: expected 'round' or 'oval', got 'rond'; did you mean 'round'?"),
        ({"radius": -1}, "shape.radius: expected a number above 0, got -1"),
        ({"pile": [{"radius": 1}], "radius": 2}, "unknown key beside 'pile'; it goes with type: round"),
        ({"pile": [{"type": "square"}]}, "shape.pile.0.type: expected 'round' or 'oval', got 'square'"),
        ("round", "shape: expected a mapping such as {type: round}, got 'round'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(value: object, said: str) -> None:
    with pytest.raises(ConfigError, match=None) as raised:
        read(value)
    assert said in str(raised.value)


def test_sections_of_other_packages_are_known_from_their_registration_on() -> None:
    with pytest.raises(ConfigError):
        read({"type": "square"})

    @SHAPES.register
    class Square(Section):
        """A square."""

        example: ClassVar[str] = "{type: square}"
        builds: ClassVar[str] = "nowhere.Square"

        type: Literal["square"] = setting("square", "a square")
        side: float = setting(1.0, "its side", gt=0)

    assert read({"type": "square", "side": 2}).shape == Square(side=2.0)
    assert read({"pile": [{"type": "square"}]}).shape == Pile(pile=[Square()])
    assert SHAPES.keys("square") == ("type", "side") and SHAPES.types == ("round", "oval", "square")
    with pytest.raises(ModelError, match=r"'nowhere.Square' cannot be imported .*dotted path"):
        load_class(Square())

    class Other(Square):
        """Another."""

    with pytest.raises(ModelError, match="shape 'square' is registered already"):
        SHAPES.register(Other)


def test_the_class_is_found_by_its_dotted_path() -> None:
    assert load_class(Round()).__name__ == "Fraction"
