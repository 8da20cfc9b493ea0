"""The page of a config's keys, from its JSON Schema, so that it agrees with the reader of configs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dosefind.config import protocol_schema

__all__ = ["write"]

_LEAD = """# Every key of a config

A config is a TOML file. These are all its tables and keys; any other key is
an error, with a message that states what is allowed. Keys in **bold** are required, those of a nested table if that table
is present. An omitted key takes the default shown and counts as an assumption, which every result lists.
`dosefind schema --out DIR` writes the same as JSON Schema, with which an editor completes and checks a config while you type.
{doc}`/how-to/write-a-config` describes how to write one.
"""


def write(source: Path) -> None:
    """Write ``reference/config.md``."""
    schema = protocol_schema()
    tables = dict(schema["properties"])
    lines = [_LEAD]
    for name, table in tables.items():
        lines += _section(schema, name, table)
    (source / "reference" / "config.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _section(schema: dict[str, Any], name: str, table: dict[str, Any]) -> Iterator[str]:
    required = " Required." if name in schema.get("required", []) else ""
    several = " Each is a table `[[" + name + "]]`." if table.get("type") == "array" else ""
    yield f"\n## `{name}`\n\n{_sentence(table.get('description', ''))}{required}{several}\n"
    patterns = table.get("patternProperties")
    if patterns and "oneOf" in next(iter(patterns.values())):
        for entry in next(iter(patterns.values()))["oneOf"]:
            kind = entry["properties"]["kind"]["const"]
            words = entry.get("description", "").partition(chr(10))[0]
            yield f'\n### `[{name}.NAME]` with `kind = "{kind}"`\n\n{_sentence(words)}\n'
            yield from _rows(schema, entry)
        return
    # A list of tables has the keys of each.
    found = _object(schema, table.get("items", {}) if table.get("type") == "array" else table)
    if found is None:
        yield f"A {_kind(schema, table)}.\n"
        return
    yield from _rows(schema, found)


def _rows(schema: dict[str, Any], table: dict[str, Any], prefix: str = "") -> Iterator[str]:
    if not prefix:
        yield "| key | type | default | meaning |\n|---|---|---|---|"
    for key, value in table.get("properties", {}).items():
        bold = key in table.get("required", [])
        name = f"`{prefix}{key}`"
        default = "" if "default" not in value or value["default"] is None else f"`{_toml(value['default'])}`"
        says = _sentence(value.get("description") or _resolved(schema, value).get("description", ""))
        yield f"| {f'**{name}**' if bold else name} | {_cell(_kind(schema, value))} | {_cell(default)} | {_cell(says)} |"
        inner = _by_kind(schema, value) or _object(schema, value)
        if inner is not None:
            # The entries of such a table have names chosen by the user.
            own = "NAME." if "patternProperties" in _resolved(schema, value) else ""
            yield from _rows(schema, inner, f"{prefix}{key}.{own}")
    if not prefix:
        yield ""


def _resolved(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return the schema that a reference denotes, where an alternative to null is that alternative."""
    if "anyOf" in value:
        options = [option for option in value["anyOf"] if option.get("type") != "null"]
        if len(options) == 1:
            return _resolved(schema, options[0])
    name = value.get("$ref", "").rpartition("/")[2]
    return schema["$defs"][name] if name else value


def _object(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any] | None:
    """Return the table that a value is, or that each entry of it is, if its keys are known."""
    found = _resolved(schema, value)
    options = [_resolved(schema, option) for option in found.get("anyOf", found.get("oneOf", []))]
    for option in [found, *options]:
        if "properties" in option:
            return option
    more = _entries(found)
    return None if more is None else _object(schema, more)


def _by_kind(schema: dict[str, Any], value: dict[str, Any]) -> dict[str, Any] | None:
    """Return one table with the keys of every kind of table that a value may be, or ``None`` if there are no kinds."""
    options = [_resolved(schema, option) for option in _resolved(schema, value).get("oneOf", [])]
    kinds = [option for option in options if "const" in option.get("properties", {}).get("kind", {})]
    if len(kinds) < 2:
        return None
    merged: dict[str, Any] = {"kind": {"enum": [option["properties"]["kind"]["const"] for option in kinds]}}
    for option in kinds:
        own = option["properties"]["kind"]["const"]
        for key, setting in option["properties"].items():
            if key == "kind":
                continue
            shared = all(key in other["properties"] for other in kinds)
            words = setting.get("description", "")
            merged.setdefault(key, setting if shared else {**setting, "description": f'with kind = "{own}": {words}'})
    required = set.intersection(*(set(option.get("required", [])) for option in kinds))
    merged["kind"]["description"] = "kind of table"
    return {"properties": merged, "required": ["kind", *required]}


def _entries(value: dict[str, Any]) -> dict[str, Any] | None:
    """Return the content of each entry of a table whose names are chosen by the user."""
    patterns = value.get("patternProperties")
    more = next(iter(patterns.values())) if patterns else value.get("additionalProperties")
    return more if isinstance(more, dict) else None


def _kind(schema: dict[str, Any], value: dict[str, Any]) -> str:
    """Return the type of a value with its bounds, in words."""
    if "anyOf" in value or "oneOf" in value:
        options = [_kind(schema, option) for option in value.get("anyOf", value.get("oneOf", [])) if option.get("type") != "null"]
        return " or ".join(dict.fromkeys(options))
    value = _resolved(schema, value)
    if "anyOf" in value or "oneOf" in value:
        return _kind(schema, value)
    if "enum" in value:
        return " or ".join(f"`{_toml(option)}`" for option in value["enum"])
    if "const" in value:
        return f"`{_toml(value['const'])}`"
    kind = value.get("type", "")
    if kind == "array":
        parts = value.get("prefixItems")
        if parts:
            return f"list of {len(parts)}: {', '.join(dict.fromkeys(_kind(schema, part) for part in parts))}"
        return f"list of {_plural(_kind(schema, value.get('items', {})))}"
    if kind == "object":
        more = None if "properties" in value else _entries(value)
        return "table" if more is None else f"table, under each name a {_kind(schema, more)}"
    if value.get("format") == "date":
        return "date"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return names.get(kind, kind) + _bounds(value)


def _plural(kind: str) -> str:
    return kind.replace("number", "numbers", 1).replace("table", "tables", 1)


def _bounds(value: dict[str, Any]) -> str:
    words = []
    for key, word in (
        ("exclusiveMinimum", "above"),
        ("minimum", "at least"),
        ("exclusiveMaximum", "below"),
        ("maximum", "at most"),
    ):
        if key in value:
            words.append(f"{word} {value[key]:g}")
    return f" {' and '.join(words)}" if words else ""


def _toml(value: Any) -> str:
    """Return a value as written in a config."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }" if value else "{ }"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("." if text and not text.endswith(".") else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
