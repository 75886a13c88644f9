"""GET /users/delta: rounds of pages from a link to the next, from what `user_history` knows.

A token says what it stands for and is checked like one that does not: of which tenant, how old, of which generation.
"""

from __future__ import annotations

import base64
import binascii
from uuid import uuid4

import msgspec

from o365_etl.simulator.graph_call import Call, Refusal, encode, ok, selected
from o365_etl.simulator.graph_objects import USER_DEFAULTS, USER_KNOWN, USER_NOT_ON_COLLECTION
from o365_etl.simulator.transport import Response
from o365_etl.simulator.user_history import UNKNOWN_TO_DELTA, UNTRACKED, Traced, UserHistory

DELTA_PAGE = 200
LIFETIME = 7 * 24 * 3600.0
_REFUSED = ("$top", "$expand", "$orderby", "$filter", "$search", "$skip", "$count")


class _Token(msgspec.Struct, frozen=True):
    """Where a round stands. `since` is the last change known before it (-1: none), `upto` the last when it began."""

    tenant_id: str
    generation: str
    issued: float
    names: tuple[str, ...]
    since: int
    upto: int
    place: int = -1
    turn: int = 0
    nonce: str = ""


def users_delta(call: Call) -> Response:
    """GET /users/delta, `delta()` and `microsoft.graph.delta()`."""
    call.need("User.Read.All", "Directory.Read.All", "User.ReadWrite.All")
    options = {name.lower(): value for name, value in call.query.items()}
    for name in _REFUSED:
        if name in options:
            raise Refusal(400, "Request_UnsupportedQuery", f"The query option '{name}' is not supported here.")
    page_token, delta_token = options.get("$skiptoken"), options.get("$deltatoken")
    if page_token and delta_token:
        raise Refusal(400, "Request_BadRequest", "'$skiptoken' and '$deltatoken' cannot be used together.")
    history = call.estate.history(call.tenant)
    if page_token:
        return _page(call, history, _read(call, history, page_token))
    if delta_token and delta_token.lower() != "latest":
        known = _read(call, history, delta_token)
        return _page(call, history, _begun(call, history, known.names, known.since))
    token = _begun(call, history, _selection(call), -1)
    if delta_token:
        return _answer(call, token, [], last=True)
    return _page(call, history, token)


def _selection(call: Call) -> tuple[str, ...]:
    names = selected(call, USER_KNOWN | USER_NOT_ON_COLLECTION, "user") or tuple(USER_DEFAULTS)
    if not UNKNOWN_TO_DELTA.isdisjoint(names):
        raise Refusal(501, "NotImplemented", "This operation target is not yet supported.")
    return names


def _begun(call: Call, history: UserHistory, names: tuple[str, ...], since: int) -> _Token:
    """The token of a new round."""
    issued = call.estate.now.timestamp()
    return _Token(call.tenant.tenant_id, history.generation, issued, names, since, history.number)


def _page(call: Call, history: UserHistory, token: _Token) -> Response:
    changed = history.since(token.since, token.place)
    size = DELTA_PAGE
    if call.tenant.odd_paging and len(changed) > 1:
        # As with ordinary collections: a short page, an empty one, then ordinary ones
        size = {0: max(1, min(size, len(changed)) * 2 // 3), 1: 0}.get(token.turn, size)
    here = changed[:size]
    last = len(here) == len(changed)
    entries = [entry for traced in here for entry in _entries(call, history, token, traced)]
    if last and call.tenant.odd_paging:
        # What came first comes once more, by now in its last state
        first = history.since(token.since, -1)[:1]
        entries += [_entry(history, token, traced) for traced in first]
    place = here[-1].place if here else token.place
    return _answer(call, msgspec.structs.replace(token, place=place), entries, last=last)


def _entries(call: Call, history: UserHistory, token: _Token, traced: Traced) -> list[bytes]:
    """What is told of one user; where paging is odd also what happened in between."""
    entries = [_entry(history, token, traced)]
    if call.tenant.odd_paging and traced.removed is None:
        if traced.last_removed is not None and traced.last_removed > token.since:
            entries.insert(0, _removed(history, traced))
        elif any(number > token.since for number in traced.changes.values()):
            entries.insert(0, _entry(history, token, traced, before=True))
    return entries


def _entry(history: UserHistory, token: _Token, traced: Traced, *, before: bool = False) -> bytes:
    if traced.removed is not None:
        return _removed(history, traced)
    names = [name for name in token.names if name in traced.values]
    # Of a change at least what changed is told; of every second user all is told again
    if traced.appeared <= token.since and traced.place % 2 == 0:
        told = {name for name, number in traced.changes.items() if number > token.since}
        if "assignedLicenses" in told:
            told.add(UNTRACKED)
        names = [name for name in names if name in told]
    values = traced.values | traced.before if before else traced.values
    parts = [encode(name) + b":" + values[name] for name in names if name != "id"]
    return b"{" + b",".join([*parts, b'"id":' + encode(traced.user_id)]) + b"}"


def _removed(history: UserHistory, traced: Traced) -> bytes:
    reason = "deleted" if history.is_purged(traced.user_id) else "changed"
    return encode({"id": traced.user_id, "@removed": {"reason": reason}})


def _answer(call: Call, token: _Token, entries: list[bytes], *, last: bool) -> Response:
    context = f"{call.metadata}users" + (f"({','.join(token.names)})" if token.turn == 0 and token.since < 0 else "")
    if last:
        following = msgspec.structs.replace(token, since=token.upto, place=-1, turn=0)
        name, option = b"@odata.deltaLink", "$deltatoken"
    else:
        following = msgspec.structs.replace(token, turn=token.turn + 1)
        name, option = b"@odata.nextLink", "$skiptoken"
    link = f"{call.base}{call.request.raw_path}?{option}={_written(following)}"
    head = b'{"@odata.context":' + encode(context) + b',"' + name + b'":' + encode(link)
    return ok(head + b',"value":[' + b",".join(entries) + b"]}")


def _written(token: _Token) -> str:
    token = msgspec.structs.replace(token, nonce=uuid4().hex[:8])
    return base64.urlsafe_b64encode(msgspec.json.encode(token)).decode().rstrip("=")


def _read(call: Call, history: UserHistory, text: str) -> _Token:
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=_Token)
    except (msgspec.DecodeError, binascii.Error, ValueError) as error:
        raise Refusal(400, "Request_BadRequest", "The token is invalid.") from error
    if token.tenant_id != call.tenant.tenant_id:
        raise Refusal(400, "Request_BadRequest", "The token is invalid.")
    location = f"{call.base}{call.request.raw_path}?$select={','.join(token.names)}&$deltaToken="
    if call.estate.now.timestamp() - token.issued > LIFETIME:
        raise Refusal(410, "SyncStateNotFound", "The sync state is not found.", {"Location": location})
    if token.generation != history.generation:
        raise Refusal(410, "resyncRequired", "A full synchronization is required.", {"Location": location})
    return token
