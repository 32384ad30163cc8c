"""Plain data to YAML that any YAML reader, 1.1 or 1.2, reads back to the same values."""

from __future__ import annotations

from typing import Any

import yaml

from svgp.config import scalars


class _Dumper(yaml.SafeDumper):
    """Quotes a text that YAML 1.1 (PyYAML) or 1.2 (`svgp.config.scalars`) would take for something else."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML escapes Unicode's line breaks between double quotes only; elsewhere it reads them back as spaces.
    style = '"' if any(mark in text for mark in "\x85\u2028\u2029") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
# Copied first: resolvers added to a subclass would otherwise be added to SafeDumper as well.
_Dumper.yaml_implicit_resolvers = {
    key: list(pairs) for key, pairs in yaml.SafeDumper.yaml_implicit_resolvers.items()
}
for _tag, _pattern in (
    ("int", scalars.INTEGER), ("float", scalars.FLOAT), ("float", scalars.SPECIAL),
):  # fmt: skip
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, list("-+.0123456789"))


def yaml_text(value: Any) -> str:
    """Block-style YAML in the order of the data."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=4096)


def inline(value: Any) -> str:
    """One line of YAML for a text, a number, or a list of them."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10**9)
    return text.removesuffix("\n").removesuffix("\n...")
