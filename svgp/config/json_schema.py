"""The config's JSON schema, for editors that complete and check YAML."""

from __future__ import annotations

from typing import Any

from svgp.config.tree import Config


def config_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of a config file, `extends` included."""
    schema = Config.model_json_schema()
    schema["properties"]["extends"] = {
        "type": "string",
        "description": "another config file that states what this one does not; relative to this file",
    }
    # The short form, dataset: NAME. (A BeforeValidator can state its input's schema itself, but not
    # with a section in it in every pydantic 2.)
    names = schema["$defs"]["BuiltinDataset"]["properties"]["name"]
    schema["$defs"]["DataConfig"]["properties"]["dataset"]["anyOf"].append({"enum": names["enum"]})
    # A file that extends another may leave the data to it.
    del schema["required"]
    schema["anyOf"] = [{"required": ["data"]}, {"required": ["extends"]}]
    _state_limits(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "svgp config"}


def _state_limits(node: Any) -> None:
    """Name limits as JSON schema does: pydantic leaves those of a number in a union as `ge` and `le`."""
    if isinstance(node, dict) and "properties" not in node:
        for own, theirs in (("ge", "minimum"), ("le", "maximum")):
            if own in node and "type" in node:
                node[theirs] = node.pop(own)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _state_limits(child)
