"""Sections that stand for a class each, in a table that anyone may add to: kernels, likelihoods, means.

    KERNELS = Registry("kernel", default="matern32")
    Kernel = Annotated[Section, KERNELS]          # the type of a field that holds any of them

    @KERNELS.register
    class PeriodicKernel(Section):
        builds: ClassVar[str] = "svgp.kernels.periodic.Periodic"
        type: Literal["periodic"] = setting("periodic", "a function that repeats itself")
        period: float | None = setting(None, "...", gt=0)

The dotted path is text, so that a config needs no TensorFlow; `load_class` follows it when a model is built.
A package outside this one registers its sections when it is imported, before the configs that use them are
read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from typing import Any, TypeVar, get_args

from pydantic_core import core_schema

from svgp.config.base import Section, refusal
from svgp.config.nodes import Node, Problem, from_python, plain
from svgp.errors import ModelError

SectionType = TypeVar("SectionType", bound=Section)


class Registry:
    """The sections that one place of the config may hold, by the word that chooses among them.

    `what` they are, for messages; `default`: the word that is meant where none is given. A section without a
    field `type` is chosen by the presence of its only required key: `{sum: [...]}`. `spelled_out` turns short
    forms, a word or an expression, into mappings: nodes to nodes, and what is wrong into problems.
    """

    def __init__(
        self, what: str, default: str, spelled_out: Callable[[Node, list[Problem]], Node] | None = None
    ) -> None:
        self.what, self.default = what, default
        self.spelled_out = spelled_out
        self._sections: dict[str, type[Section]] = {}

    def register(self, section: type[SectionType]) -> type[SectionType]:
        """Add a section, under each word that its `type` allows; serves as a decorator.

        Raises ModelError where a word is taken by another section.
        """
        for word in _words(section):
            known = self._sections.get(word)
            if known is not None and _path(known) != _path(section):
                raise ModelError(f"{self.what} '{word}' is registered already, by {_path(known)}")
            self._sections[word] = section
        _forget_validators()
        return section

    def forget(self, word: str) -> None:
        """Take a section out again."""
        del self._sections[word]
        _forget_validators()

    def __getitem__(self, word: str) -> type[Section]:
        return self._sections[word]

    def __contains__(self, word: object) -> bool:
        return word in self._sections

    def __iter__(self) -> Iterator[str]:
        # The default first: it is the example that messages give.
        return iter(sorted(self._sections, key=lambda word: word != self.default))

    def get(self, word: str) -> type[Section] | None:
        """The section that `word` chooses, None where there is none."""
        return self._sections.get(word)

    @property
    def types(self) -> tuple[str, ...]:
        """The words that a key `type` may hold."""
        return tuple(word for word, section in self._sections.items() if "type" in section.model_fields)

    def keys(self, word: str) -> tuple[str, ...]:
        """The keys that go with a word: those of its section, none where it is unknown."""
        section = self._sections.get(word)
        return () if section is None else tuple(section.model_fields)

    def shape(self, mapping: Mapping[str, Any]) -> str:
        """The key that chooses a section without a type, where the mapping has one; else nothing."""
        shapes = (word for word, section in self._sections.items() if "type" not in section.model_fields)
        return next((word for word in shapes if word in mapping), "")

    def choose(self, value: Any) -> str | None:
        """The tag, `<word>`, of what a mapping or a section is; None where it can be neither."""
        if isinstance(value, Section):
            return next((f"<{word}>" for word in _words(type(value)) if _is(value, word)), None)
        if not isinstance(value, Mapping):
            return None
        return f"<{self.shape(value) or value.get('type', self.default)}>"

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[..., Any]) -> Any:
        # A tagged union like any other, made of what is registered by the time of the first validation.
        choices = {f"<{word}>": handler.generate_schema(section) for word, section in self._sections.items()}  # type: ignore[attr-defined]
        union = core_schema.tagged_union_schema(choices, self.choose)
        if self.spelled_out is None:
            return union
        short = core_schema.union_schema([union, core_schema.str_schema()])
        return core_schema.no_info_before_validator_function(
            self._spelled_out, union, json_schema_input_schema=short
        )

    def _spelled_out(self, value: Any) -> Any:
        """Short forms in plain values, as they come from Python and from saved models."""
        if not isinstance(value, (str, dict)) or self.spelled_out is None:
            return value
        problems: list[Problem] = []
        node = self.spelled_out(from_python(value), problems)
        if problems:
            raise refusal(problems[0].message)
        return plain(node)


def load_class(section: Section) -> Any:
    """The class that `section.builds` names. Raises ModelError where there is none."""
    path = getattr(section, "builds", "")
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ModelError(
            f"{type(section).__name__}.builds: '{path}' cannot be imported ({error}); expected the dotted "
            "path of a class, such as svgp.kernels.Matern32"
        ) from error


def _words(section: type[Section]) -> tuple[str, ...]:
    """What chooses a section: the words of its `type`, or its only required key."""
    fields = section.model_fields
    if "type" in fields:
        return tuple(get_args(fields["type"].annotation))
    return tuple(key for key, field in fields.items() if field.is_required())[:1]


def _is(value: Section, word: str) -> bool:
    return getattr(value, "type", word) == word


def _path(section: type[Section]) -> str:
    return f"{section.__module__}.{section.__qualname__}"


def _forget_validators() -> None:
    """Sections that have been used hold validators of the old table: they are built again."""
    used = [section for section in _all_sections(Section) if section.__dict__.get("__pydantic_complete__")]
    for section in used:
        for attribute in ("__pydantic_core_schema__", "__pydantic_validator__", "__pydantic_serializer__"):
            if attribute in section.__dict__:
                delattr(section, attribute)
        section.__pydantic_complete__ = False
    for section in used:
        section.model_rebuild(force=True)


def _all_sections(section: type[Section]) -> Iterator[type[Section]]:
    for below in section.__subclasses__():
        yield below
        yield from _all_sections(below)
