"""Kernels as expressions: `matern32(ard) + periodic(inputs=[month]) * linear` is a tree like any other.

    kernel  = kernel + kernel | kernel * kernel | (kernel) | type | type(setting, ...)
    setting = key=value | a switch, such as ard, for ard=true

A value is a number, a word, a text in quotes, true, false, null, a list, or (where a kernel may stand) a
kernel with brackets. `*` binds before `+`. The same grammar is Python's, whose parser reads it; nothing is
run.
"""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

from svgp.config.nodes import Content, Node, Place, Problem

LONGEST = 2000  # characters
WORDS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}


class Misspelled(Exception):
    """What is wrong with an expression, and at which of its characters."""

    def __init__(self, message: str, at: tuple[int, int]) -> None:
        super().__init__(message)
        self.at = at


def parsed(node: Node, problems: list[Problem]) -> Node:
    """The tree that the text of `node` stands for; the node itself, and a problem, where it is none."""
    text = str(node.content)
    try:
        if len(text) > LONGEST:
            raise Misspelled(f"longer than {LONGEST} characters; use sum: and product:", (1, 0))
        return _Reader(text, node).kernel(_syntax(text))
    except Misspelled as error:
        place = _place(node, text, *error.at)
        problems.append(Problem(place, "", f"kernel expression {_shown(text)}: {error}"))
        return node


def _syntax(text: str) -> ast.expr:
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line, column = getattr(error, "lineno", 1) or 1, getattr(error, "offset", 1) or 1
        column = len(text.strip()) if column <= 1 else column  # of what ends too early nothing is told
        said = getattr(error, "msg", "") or type(error).__name__
        raise Misspelled(
            f"cannot be read ({said}); expected something like "
            "matern32(ard) + periodic(inputs=[month]) * linear",
            (line, column - 1),
        ) from None


class _Reader:
    """Python's syntax tree to nodes, each with the place of what it came from."""

    def __init__(self, text: str, node: Node) -> None:
        self._text, self._node = text, node

    def kernel(self, tree: ast.expr) -> Node:
        """A kernel: a sum, a product, a type, or a type with settings."""
        if isinstance(tree, ast.BinOp) and isinstance(tree.op, (ast.Add, ast.Mult)):
            word = "sum" if isinstance(tree.op, ast.Add) else "product"
            parts = [self.kernel(part) for part in _operands(tree, type(tree.op))]
            return self._mapping(tree, {word: self._at(tree, parts)})
        if isinstance(tree, ast.Name):
            return self._mapping(tree, {"type": self._at(tree, tree.id)})
        if isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name):
            found = {"type": self._at(tree.func, tree.func.id)}
            for switch in tree.args:
                if not isinstance(switch, ast.Name):
                    raise Misspelled(
                        f"expected key=value or a switch, got {self._source(switch)}", _at(switch)
                    )
                found[switch.id] = self._at(switch, True)
            for setting in tree.keywords:
                if setting.arg is None or setting.arg in found:
                    raise Misspelled(f"'{setting.arg}' is given twice", _at(setting.value))
                found[setting.arg] = self._value(setting.value)
            return self._mapping(tree, found)
        raise Misspelled(f"expected a kernel, '+' or '*', got {self._source(tree)}", _at(tree))

    def _value(self, tree: ast.expr) -> Node:
        if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float, str, bool, type(None))):
            return self._at(tree, tree.value)
        if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
            inner = self._value(tree.operand)
            if isinstance(inner.content, (int, float)):
                return replace(inner, content=-inner.content)
        if isinstance(tree, ast.Name):
            return self._at(tree, WORDS.get(tree.id, tree.id))
        if isinstance(tree, (ast.List, ast.Tuple)):
            return self._at(tree, [self._value(item) for item in tree.elts])
        if isinstance(tree, (ast.Call, ast.BinOp)):
            return self.kernel(tree)
        raise Misspelled(f"expected a value, got {self._source(tree)}", _at(tree))

    def _mapping(self, tree: ast.expr, content: dict[str, Node]) -> Node:
        return self._at(tree, {key: replace(child, key=child.place) for key, child in content.items()})

    def _at(self, tree: ast.expr, content: Content | Any) -> Node:
        return Node(content, _place(self._node, self._text, *_at(tree)))

    def _source(self, tree: ast.expr) -> str:
        return repr(ast.get_source_segment(self._text.strip(), tree) or ast.unparse(tree))


def _operands(tree: ast.expr, operation: type[ast.operator]) -> list[ast.expr]:
    """The parts of a + b + c, which Python reads as (a + b) + c."""
    if isinstance(tree, ast.BinOp) and isinstance(tree.op, operation):
        return [*_operands(tree.left, operation), *_operands(tree.right, operation)]
    return [tree]


def _at(tree: ast.expr) -> tuple[int, int]:
    return tree.lineno, tree.col_offset


def _place(node: Node, text: str, line: int, column: int) -> Place:
    """Where a character of the expression is in the file: exact where it was written on one line."""
    place = node.place
    if not place.line or line > 1 or "\n" in text:
        return place
    before = text.strip().encode()[:column].decode(errors="ignore")  # Python counts bytes
    indent = len(text) - len(text.lstrip())
    return replace(place, column=place.column + len(before) + indent + bool(node.quoted))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
