"""The users of a large tenant by what changed since the last full read of them, the *base*.

The base keeps a delta link from before its first page. That same link is followed by each later sync, so its changes
are all since the base, and base and one file of changes are the users as they are now; nothing piles up, and a sync
that is lost costs nothing. From changes nobody is concluded to be gone: a removed user stays until the next base.

What does not live here: how changes are laid over a base (`o365_etl.merging`), how the base is read (`streams`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from o365_etl.config import Connection
from o365_etl.errors import LocalError, O365EtlError, PageExpiredError, ProtocolError
from o365_etl.graph.answers import User, decode_users
from o365_etl.graph.client import TenantClient
from o365_etl.graph.directory import Directory
from o365_etl.graph.recording import Recording
from o365_etl.graph.streams import USER_FIELDS
from o365_etl.graph.transport import Tally
from o365_etl.merging import Changes, overlay, read_changes
from o365_etl.receipts import Landing, Receipt

log = logging.getLogger(__name__)

STREAM = "users_changes"
ONLY_CHANGES = "only_changes"
"""The reason in the receipt of users that were not read in full."""
LONGEST_LINK = timedelta(days=6)  # Microsoft forgets a link after seven
MOST_CHANGED = 3  # where more than one of so many changed, a full read is the cheaper answer


class _Base(msgspec.Struct, frozen=True):
    """The bookmark of a base. A link tells of the fields it was asked for, whatever is asked later."""

    link: str
    fields: str


class _Since(msgspec.Struct, frozen=True):
    """The bookmark of changes: the name of their base, how many users are laid over it, and what the two come to:
    users, and of them removed ones.
    """

    base: str
    changed: int
    users: int
    removed: int


class _Page(msgspec.Struct):
    value: list[dict[str, msgspec.Raw]]
    next_link: str | None = msgspec.field(default=None, name="@odata.nextLink")
    delta_link: str | None = msgspec.field(default=None, name="@odata.deltaLink")


_decode_any_page = msgspec.json.Decoder(_Page).decode
_decode_text = msgspec.json.Decoder(str).decode


def _decode_page(body: bytes) -> _Page:
    """A page of a round. One entry that does not say which user it is about spoils it."""
    page = _decode_any_page(body)
    for entry in page.value:
        _decode_text(entry.get("id", b""))
    return page


def link_from_now(client: TenantClient, tally: Tally) -> str | None:
    """The bookmark for a full read that begins now. None if there is no link to be had: then the read after it is full
    as well.
    """
    path = f"users/delta?$select={USER_FIELDS}&$deltatoken=latest"
    try:
        for _, page in client.pages(path, _decode_page, tally, permission="User.Read.All"):
            if page.delta_link is not None:
                return msgspec.json.encode(_Base(page.delta_link, USER_FIELDS)).decode()
    except O365EtlError as error:
        log.info("no link to later changes of the users is to be had (%s)", error.code)
    return None


def base_of(landing: Landing, tenant_id: str, connection: Connection) -> Receipt | None:
    """The full read to go on from; None if the next one is due, or if there is nothing to go on from."""
    if not connection.users_delta:
        return None
    base = landing.receipt(tenant_id, "users")
    if base is None or base.rows == 0 or _link_of(base) is None:
        return None
    age = datetime.now(UTC) - base.started_at
    due = min(timedelta(hours=connection.full_read_hours), LONGEST_LINK)
    return base if timedelta(0) <= age < due else None  # from the future is a clock that was put right


def in_force(landing: Landing, tenant_id: str) -> dict[str, Receipt]:
    """The receipts of the users as they stand, by stream.

    `users` alone where the last full read is all there is. Where changes of it were read since, `users` is one receipt
    for the two together (its digest as well), and `users_changes` is there too; changes of an earlier full read count
    for nothing.
    """
    base = landing.receipt(tenant_id, "users")
    if base is None:
        return {}
    changes = landing.receipt(tenant_id, STREAM)
    since = None if changes is None else _since_of(changes)
    if changes is None or since is None or since.base != _name(base):
        return {"users": base}
    return {"users": _together(base, changes, since), STREAM: changes}


def forget(landing: Landing, tenant_id: str) -> None:
    """Delete the changes of an earlier full read: they count for nothing, and need not lie about."""
    try:
        landing.discard(tenant_id, STREAM)
    except LocalError as error:
        log.warning("%s", error.message)


def read(client: TenantClient, landing: Landing, recording: Recording, base: Receipt, directory: Directory) -> Receipt:
    """Ask for the changes since `base`, land them, fill `directory` with all users as they are now.

    Returns the receipt of the users as they stand; its message is set if users were removed that were not before.
    Raises whatever goes wrong, `PageExpiredError` also for a link that does not lead to its end or to too many
    changes: then the full read is due, and nothing was landed.
    """
    try:
        since = _read(client, landing, recording, base, directory)
    except BaseException:
        recording.abandon()
        raise
    recording.bookmark = msgspec.json.encode(since).decode()
    before = in_force(landing, base.source).get(STREAM)
    earlier = _since_of(before) if before else None
    removed = since.removed
    message = f"removed since the last full read: {removed} users, kept until the next one" if removed else None
    receipt = recording.ok(message=message)
    if not receipt.certified:
        raise LocalError(receipt.message or "", code=receipt.error_code, remedy=receipt.remedy)
    together = _together(base, receipt, since)
    is_news = removed != (earlier.removed if earlier else 0)
    return msgspec.structs.replace(together, message=message if is_news else None)


def _read(client: TenantClient, landing: Landing, recording: Recording, base: Receipt, directory: Directory) -> _Since:
    tenant_id = base.source
    changes = Changes()
    for body, page in _round(client, recording.tally, _link_of(base) or ""):
        changes.add(page.value)
        recording.page("changed", body, len(page.value))
        if len(changes.objects) * MOST_CHANGED > base.rows:
            raise PageExpiredError("more changed than a read of changes is good for", code="too_many_changes")
    if STREAM in in_force(landing, tenant_id):
        earlier = read_changes(body for _, body in landing.read(tenant_id, STREAM))
        kept = changes.keep(earlier)
        if kept is not None:
            recording.page("kept", kept)
    directory.clear()
    for users in _merged(landing, tenant_id, changes):
        directory.add(users)
    removed = sum(user_id.lower() in changes.removed for user_id in directory.ids) if changes.removed else 0
    return _Since(_name(base), len(changes.objects), len(directory.ids), removed)


def _round(client: TenantClient, tally: Tally, link: str) -> Iterator[tuple[bytes, _Page]]:
    """One round: pages to the one with the next delta link, without which it is not at its end."""
    last: _Page | None = None
    for body, last in client.follow(link, _decode_page, tally, permission="User.Read.All"):
        yield body, last
    if last is None or last.delta_link is None:
        raise ProtocolError("the changes of the users end without a link to the next ones", code="no_delta_link")


def _merged(landing: Landing, tenant_id: str, changes: Changes) -> Iterator[list[User]]:
    """All users page by page, those of the base as they were or as they are now, then the new ones."""
    changed = {user.id.lower(): user for user in decode_users(changes.page()).value}
    new = dict(changed)

    def now(user: User) -> User:
        user_id = user.id.lower()
        if user_id not in changed:
            return user
        new.pop(user_id, None)
        return overlay(user, changed[user_id], changes.objects[user_id])

    for part, body in landing.read(tenant_id, "users"):
        if part == "users":
            users = decode_users(body).value
            yield [now(user) for user in users] if changed else users
    yield list(new.values())


def _together(base: Receipt, changes: Receipt, since: _Since) -> Receipt:
    digest = f"{base.digest}+{changes.digest}" if since.changed else base.digest
    return msgspec.structs.replace(
        changes, stream="users", rows=since.users, reason=ONLY_CHANGES, digest=digest, bookmark=base.bookmark
    )


def _name(base: Receipt) -> str:
    """What tells a base from every other, also from one of a read that was begun anew under the same id."""
    return f"{base.read_id} {base.sha256}"


def _link_of(base: Receipt) -> str | None:
    try:
        bookmark = msgspec.json.decode(base.bookmark or "", type=_Base)
    except msgspec.DecodeError:
        return None
    return bookmark.link if bookmark.fields == USER_FIELDS else None


def _since_of(changes: Receipt) -> _Since | None:
    try:
        return msgspec.json.decode(changes.bookmark or "", type=_Since)
    except msgspec.DecodeError:
        return None
