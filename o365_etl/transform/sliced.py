"""The answers of one tenant, its users dealt into slices: which slices say something new, and the answers of those.

What counts of a user is what was answered of him (with what changed since), when he last signed in, and what is known
of his mailbox. A slice has the digest of that, for which nothing of a user but his id and his name is decoded.

Mailboxes of the report that are nobody's are a slice of their own: which they are depends on the names of all users.

What does not live here: what all users' rows rest on besides, and what was remembered (`pipeline.loading`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256

import msgspec

from o365_etl.merging import Changes, read_changes
from o365_etl.slices import SLICES, slice_of
from o365_etl.transform.answers import Page, SignIn
from o365_etl.transform.decode import decode_all
from o365_etl.transform.report_rows import rows_of
from o365_etl.transform.tenant import Parts

# The slice of rows that belong to no user.
NOBODYS = SLICES
# Of each digest so many are kept: 64 bits.
_DIGITS = 16


class _Known(msgspec.Struct, rename="camel", gc=False):
    id: str | None = None
    user_principal_name: str | None = None


class _Raw(msgspec.Struct):
    value: list[msgspec.Raw] | None = None


_decode_known = msgspec.json.Decoder(Page[_Known]).decode
_decode_raw = msgspec.json.Decoder(_Raw).decode
_decode_types = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_name = msgspec.json.Decoder(str | None).decode
_encode = msgspec.json.Encoder().encode


class Sliced:
    """One tenant's answers, as far as users' rows are made of them.

    `digests` are those of its slices, the last one that of `NOBODYS`: of a slice with the same digest the same is
    said, unless something differs that counts for all users.
    """

    def __init__(
        self,
        parts: Parts,
        users: Mapping[str, msgspec.Raw],
        names: Mapping[str, str],
        changes: Changes,
        sign_ins: Mapping[str, SignIn],
        types: Mapping[str, msgspec.Raw],
    ) -> None:
        self._parts = parts
        self._users = users
        self._names = names
        self._changes = changes
        self._sign_ins = sign_ins
        self._types = types
        self._ids: list[list[str]] = [[] for _ in range(SLICES)]
        self.digests = self._digests()

    def differing(self, digests: Sequence[str]) -> frozenset[int]:
        """The slices of which something else is said than of those that had `digests`."""
        pairs = enumerate(zip(self.digests, digests, strict=True))
        return frozenset(number for number, (now, before) in pairs if now != before)

    def parts(self, slices: Collection[int]) -> Parts:
        """The answers as they were if there were only the users of `slices`, and nobody's mailboxes only if they are
        among them.
        """
        ids = [user_id for number in slices if number != NOBODYS for user_id in self._ids[number]]
        told = self._changes.objects
        signed_in = tuple(self._sign_ins[user_id] for user_id in ids if user_id in self._sign_ins)
        answers = {
            ("users", "users"): [_page([self._users[user_id] for user_id in ids if user_id in self._users])],
            ("users_changes", "changed"): [_page([told[user_id] for user_id in ids if user_id in told])],
            ("users_changes", "kept"): [],
            ("sign_ins", "sign_ins"): [_encode(Page[SignIn](signed_in))],
            ("mailboxes", "types"): [_encode({id_: self._types[id_] for id_ in ids if id_ in self._types})],
            ("mailboxes", "usage_csv"): self._report(ids, with_nobodys=NOBODYS in slices),
        }

        rest = self._parts

        def answers_of(stream: str, part: str) -> list[bytes]:
            return answers[stream, part] if (stream, part) in answers else rest(stream, part)

        return answers_of

    def _digests(self) -> tuple[str, ...]:
        users, sign_ins, types, told = self._users, self._sign_ins, self._types, self._changes.objects
        new = (user_id for user_id in told if user_id not in users)
        for user_id in (*users, *new):
            self._ids[slice_of(user_id)].append(user_id)
        digests = []
        for ids in self._ids:
            digest = sha256(b"".join([users.get(user_id, b"") for user_id in ids]))
            digest.update(_encode([(sign_ins.get(user_id), types.get(user_id), told.get(user_id)) for user_id in ids]))
            digests.append(digest)
        digests.append(sha256(_encode(sorted(self._names.values()))))
        return tuple(digest.hexdigest()[:_DIGITS] for digest in digests)

    def _report(self, ids: Sequence[str], *, with_nobodys: bool) -> list[bytes]:
        bodies = self._parts("mailboxes", "usage_csv")[-1:]
        wanted = {self._names[user_id] for user_id in ids if user_id in self._names}
        if not with_nobodys:
            return [rows_of(body, wanted.__contains__) for body in bodies]
        others = set(self._names.values()) - wanted
        return [rows_of(body, lambda name: name not in others) for body in bodies]


def sliced(parts: Parts, certified: Collection[str]) -> Sliced | None:
    """The answers of the streams that are `certified` (with both as `tenant.tenant_frames` takes them), dealt.

    None where they cannot be dealt out: no users, answers that are not as they should be, or a user name that two have.
    Raises `LocalError` for landed bytes that are no JSON.
    """
    if "users" not in certified:
        return None
    changed: list[bytes] = []
    if "users_changes" in certified:
        changed = parts("users_changes", "changed") + parts("users_changes", "kept")
    try:
        users, names = _users(parts("users", "users"))
        changes = read_changes(changed)
        for user_id, told in changes.objects.items():
            if "userPrincipalName" in told:
                names[user_id] = (_decode_name(told["userPrincipalName"]) or "").lower()
        bodies = parts("mailboxes", "types")[-1:] if "mailboxes" in certified else []
        types = {user_id.lower(): known for body in bodies for user_id, known in _decode_types(body).items()}
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError):
        return None
    names = {user_id: name for user_id, name in names.items() if name}
    if len(set(names.values())) < len(names):
        return None
    sign_ins = _sign_ins(parts("sign_ins", "sign_ins")) if "sign_ins" in certified else {}
    return Sliced(parts, users, names, changes, sign_ins, types)


def _users(pages: Sequence[bytes]) -> tuple[dict[str, msgspec.Raw], dict[str, str]]:
    """The users and their names by id (all in lower case), as they came last."""
    users: dict[str, msgspec.Raw] = {}
    names: dict[str, str] = {}
    for page in pages:
        for raw, known in zip(_decode_raw(page).value or (), _decode_known(page).value or (), strict=True):
            if known.id:
                user_id = known.id.lower()
                users[user_id] = raw
                names[user_id] = (known.user_principal_name or "").lower()
    return users, names


def _sign_ins(pages: Sequence[bytes]) -> dict[str, SignIn]:
    return {
        sign_in.id.lower(): sign_in
        for page in decode_all(pages, Page[SignIn])
        for sign_in in page.value or ()
        if sign_in.id and sign_in.sign_in_activity
    }


def _page(objects: Sequence[msgspec.Raw | Mapping[str, msgspec.Raw]]) -> bytes:
    return _encode({"value": objects})
