"""What a plain YAML word means: text, number, true or false, or nothing.

YAML 1.1, which PyYAML speaks, reads `1e-3` as text, `on` as true, `010` as eight and `1:30` as
ninety. This is YAML 1.2's core schema, which reads them as people do.
"""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
BOOLEAN = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
INTEGER = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
SPECIAL = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")

_LONGEST_NUMBER = 400  # characters; Python refuses to convert integers of a few thousand digits


def resolve(word: str) -> Scalar:
    """The value of an unquoted word."""
    if NULL.match(word):
        return None
    if BOOLEAN.match(word):
        return word[0] in "tT"
    if len(word) > _LONGEST_NUMBER:
        return word
    if INTEGER.match(word):
        return int(word, 8 if word.startswith("0o") else 16 if word.startswith("0x") else 10)
    if FLOAT.match(word):
        return float(word)
    if SPECIAL.match(word):
        return float(word.replace(".", "", 1))
    return word
