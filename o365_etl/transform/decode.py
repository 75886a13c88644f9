"""Decodes landed answers into typed structures, and loses no row over one odd field.

A page is decoded once with the strict, fast decoder. Only a page that fails is decoded again leniently: a field of
the wrong type becomes unknown (its default), everything else of that row stays.

What does not live here: which fields an answer has (`answers`, `resources`).
"""

from __future__ import annotations

import json
import types
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from o365_etl.errors import LocalError

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


@cache
def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(wanted)


def decode(body: bytes, wanted: type[S]) -> S:
    """One answer as `wanted`. Raises `LocalError` if the landed bytes are no JSON object at all."""
    try:
        answer: S = _decoder(wanted).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _struct(_any_json(body), wanted)
    return answer


def decode_all(bodies: Iterable[bytes], wanted: type[S]) -> Iterator[S]:
    """Every answer in order, as `decode`."""
    for body in bodies:
        yield decode(body, wanted)


def decode_map(body: bytes, item: type[S]) -> dict[str, S]:
    """An answer that maps keys to objects; what is no such object is left out. Raises as `decode`."""
    wanted = dict[str, item]  # type: ignore[valid-type]  # a type made at run time
    try:
        found: dict[str, S] = _decoder(wanted).decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        found = _salvage(_any_json(body), wanted)
    return found


def _any_json(body: bytes) -> dict[str, Any]:
    try:
        # Half of a surrogate pair is legal JSON, but no text; it cannot be stored and becomes the replacement mark.
        value = json.loads(body.decode("utf-8-sig", "replace"), parse_constant=lambda _: None)
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except ValueError as error:
        raise LocalError(
            "a landed answer is not JSON any more",
            code="damaged",
            remedy="Sync the tenant again: a complete read replaces the damaged one.",
        ) from error
    return value if isinstance(value, dict) else {}


def _struct(raw: dict[str, Any], wanted: type[S]) -> S:
    fields = {}
    for field in msgspec.structs.fields(wanted):
        value = raw.get(field.encode_name)
        if value is not None and (kept := _salvage(value, field.type)) is not None:
            fields[field.name] = kept
    return wanted(**fields)


def _salvage(value: Any, wanted: Any) -> Any:
    """`value` as `wanted`, without the parts of it that do not fit; None if nothing fits."""
    try:
        return msgspec.convert(value, wanted)
    except msgspec.ValidationError:
        pass
    for option in _options(wanted):
        origin = get_origin(option)
        if origin is tuple and isinstance(value, list):
            item, *_ = get_args(option)
            return tuple(kept for part in value if (kept := _salvage(part, item)) is not None)
        if origin is dict and isinstance(value, dict):
            _, item = get_args(option)
            return {key: kept for key, part in value.items() if (kept := _salvage(part, item)) is not None}
        kind = origin or option  # Page[User] is no class itself
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
            return _struct(value, option)
    return None


def _options(wanted: Any) -> tuple[Any, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, types.UnionType) else (wanted,)
