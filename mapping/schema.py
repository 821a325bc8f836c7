"""The JSON Schema of a configuration, made from the models and the platforms: for editors, and it ships.

It accepts all that ``mapping/load.py`` accepts. What only the loader can know (names that refer to each
other, the words inside expressions) it leaves to the loader.
"""

import re
from collections.abc import Mapping
from typing import Any

from mapping.capability import Platform
from mapping.config import NAME_PATTERN, Config, Route
from mapping.settings import ConnectionSettings

DRAFT = "https://json-schema.org/draft/2020-12/schema"
SUBSTITUTION = {"type": "string", "pattern": r"\$\{"}
"""Wherever a value goes, ``${NAME}`` goes too; what it stands for is checked when it is put in."""

_PLATFORM = "The platform of this account."
_NOTES = ("title", "description", "default")
_FREE = frozenset({"type", *_NOTES})
_BOOLEAN_WORDS = ("true", "false", "yes", "no", "on", "off", "t", "f", "y", "n", "1", "0")
# pydantic reads numbers and booleans out of texts, as a substitution gives them.
_AS_TEXT = {
    "integer": {"type": "string", "pattern": r"^\s*[+-]?[0-9_]+(\.0+)?\s*$"},
    "number": {"type": "string", "pattern": r"^\s*[+-]?[0-9.]"},
    "boolean": {"enum": [0, 1, *_BOOLEAN_WORDS, *map(str.upper, _BOOLEAN_WORDS)]},
}


def json_schema(platforms: Mapping[str, Platform]) -> dict[str, Any]:
    """The schema for these platforms, in draft 2020-12."""
    schema = Config.model_json_schema(by_alias=True, mode="validation", ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs", {})
    definitions.pop(ConnectionSettings.__name__, None)
    definitions[Route.__name__]["required"].remove("name")
    definitions["Connection"] = _connection(platforms)
    for name, platform in sorted(platforms.items()):
        own = _settings(name, platform)
        definitions |= own.pop("$defs", {})
        definitions[_definition(name)] = own
    schema["properties"]["connections"] |= {
        "propertyNames": {"pattern": NAME_PATTERN},
        "additionalProperties": {"$ref": "#/$defs/Connection"},
    }
    schema["properties"]["connections"].pop("patternProperties", None)
    for properties, keys in (
        (schema["properties"], ("server", "lookups", "guard", "routes")),
        (definitions[Route.__name__]["properties"], ("set", "guard")),
    ):
        for key in keys:
            properties[key] = _or_nothing(properties[key])
    described = {"title": "bookferry configuration", "description": "What bookferry reads: bookferry.yaml."}
    whole = {"$schema": DRAFT, **schema, **described, "$defs": definitions}
    return dict(_opened(whole))


def _definition(platform: str) -> str:
    return "connection-" + re.sub(r"[^a-z0-9]+", "-", platform.lower())


def _connection(platforms: Mapping[str, Platform]) -> dict[str, Any]:
    """One connection: which keys there are depends on the platform."""
    by_platform = [
        {
            "if": {"properties": {"platform": {"const": name}}, "required": ["platform"]},
            "then": {"$ref": f"#/$defs/{_definition(name)}"},
        }
        for name in sorted(platforms)
    ]
    return {
        "type": "object",
        "description": "One account on one platform.",
        "properties": {"platform": {"enum": sorted(platforms), "description": _PLATFORM}},
        "required": ["platform"],
        "allOf": by_platform,
    }


def _settings(name: str, platform: Platform) -> dict[str, Any]:
    schema = platform.settings.model_json_schema(
        by_alias=True, mode="validation", ref_template="#/$defs/{model}"
    )
    schema["title"] = platform.title
    schema["properties"]["platform"] = {"const": name, "description": _PLATFORM}
    schema["required"] = sorted({*schema.get("required", []), "platform"})
    return schema


def _or_nothing(schema: dict[str, Any]) -> dict[str, Any]:
    """The same, or a key with nothing beneath it."""
    notes = {key: schema.pop(key) for key in _NOTES if key in schema}
    return {**notes, "anyOf": [schema, {"type": "null"}]}


def _opened(schema: Any) -> Any:
    """The same schema, with a substitution allowed wherever it asks for more than any text."""
    if isinstance(schema, list):
        return [_opened(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "if" in schema:
        return {"if": schema["if"], "then": _opened(schema["then"])}
    schema = {key: value for key, value in schema.items() if key not in {"format", "writeOnly"}}
    if not _is_scalar(schema):
        return {key: _inside(key, value) for key, value in schema.items()}
    if set(schema) <= _FREE and schema.get("type") == "string":
        return schema
    notes = {key: schema.pop(key) for key in _NOTES if key in schema}
    extra = (
        [_AS_TEXT[schema["type"]]]
        if isinstance(schema.get("type"), str) and schema["type"] in _AS_TEXT
        else []
    )
    return {**notes, "anyOf": [schema, *extra, SUBSTITUTION]}


def _inside(key: str, value: Any) -> Any:
    if key in {"properties", "$defs", "patternProperties"}:
        return {name: _opened(schema) for name, schema in value.items()}
    if key in {"default", "required", "propertyNames", "enum", "const", "examples"}:
        return value
    return _opened(value)


def _is_scalar(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") in ("string", *_AS_TEXT) or "enum" in schema or "const" in schema
