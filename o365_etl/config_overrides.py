"""Lays environment variables over a parsed configuration: `O365_ETL_A__B=value` over its key `a.b`.

What does not live here: reading the environment and what the keys mean (`config`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from o365_etl.errors import ConfigError

ENV_PREFIX = "O365_ETL_"
CONFIG_VARIABLE = "O365_ETL_CONFIG"


def override(raw: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Lay `O365_ETL_A__B=value` over `raw["a"]["b"]`; a number in the path is a place in a list."""
    references = set(_env_references(raw))
    for name, text in sorted(environment.items()):
        if not name.startswith(ENV_PREFIX) or name == CONFIG_VARIABLE or name in references:
            continue
        path = name.removeprefix(ENV_PREFIX).lower().split("__")
        node: Any = raw
        for here, after in pairwise(path):
            node = _step(node, here, [] if after.isdigit() else {}, name)
        _assign(node, path[-1], _toml_value(text), name)


def _step(node: Any, part: str, default: Any, name: str) -> Any:
    if isinstance(node, list):
        if not part.isdigit() or int(part) > len(node):
            raise ConfigError(f"the environment variable {name} names no entry of a list", remedy=f"Unset {name}.")
        if int(part) == len(node):
            node.append(default)
        return node[int(part)]
    if not isinstance(node, dict):
        raise ConfigError(f"the environment variable {name} names no key", remedy=f"Unset {name}.")
    return node.setdefault(part, default)


def _assign(node: Any, part: str, value: Any, name: str) -> None:
    if isinstance(node, list) and part.isdigit() and int(part) < len(node):
        node[int(part)] = value
    elif isinstance(node, dict):
        node[part] = value
    else:
        raise ConfigError(f"the environment variable {name} names no key", remedy=f"Unset {name}.")


def _toml_value(text: str) -> Any:
    """A value as TOML reads it (`true`, `3`, `["a"]`, `{ env = "X" }`), else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _env_references(node: Any) -> list[str]:
    """Names of environment variables that the configuration itself refers to as secrets."""
    if isinstance(node, dict):
        own = [node["env"]] if isinstance(node.get("env"), str) else []
        return own + [name for value in node.values() for name in _env_references(value)]
    if isinstance(node, list):
        return [name for value in node for name in _env_references(value)]
    return []
