"""What is kept of a tenant's users while the tenant is being read: the ids, and those whose mailbox type is open.

Everything else of a user goes to the landing zone at once. What does not live here: how types are asked for
(`mailbox_types`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

import msgspec

from o365_etl.graph.answers import Plan, User

MAILBOX_PLANS = frozenset(
    {
        "9aaf7827-d63c-4b61-89c3-182f06f82e5c",  # Exchange Online Plan 1
        "efb87545-963c-4e0d-99df-69c6916d9eb0",  # Plan 2
        "4a82b400-a79f-41a4-b4e2-e94f5787b113",  # Kiosk
        "1126bef5-da20-4f07-b45e-ad25d2581aa8",  # Essentials
        "fc52cc4b-ed7d-472d-bbe7-b081c23ecc56",  # Midmarket
        "90927877-dcff-4af6-b346-2332c0b15bb7",  # Business
        "e9b4930a-925f-45e2-ac2a-3f7788ca6fdd",  # Plan 1, government
        "8c3069c0-ccdb-44be-ab77-986203a67df2",  # Plan 2, government
        "88f4d7ef-a73b-4246-8047-516022144c9f",  # Kiosk, government
    }
)
PLANS_WITHOUT_MAILBOX = frozenset(
    {
        "113feb6c-3fe4-4440-bddc-54d774bf0318",  # EXCHANGE_S_FOUNDATION, part of nearly every product
        "176a09a6-7ec5-4039-ac02-b2791c6ba793",  # EXCHANGE_S_ARCHIVE_ADDON
    }
)


class KnownType(msgspec.Struct, frozen=True):
    """A mailbox type and how it is known. `type` is None for a user without mailbox, and, where `source` is
    `heuristic`, for one whose mailbox could be of any type. `mark` is what the user looked like then.
    """

    type: str | None
    source: str
    mark: str


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """A user whose mailbox type is open: one with an Exchange plan, or with an address that receives mail."""

    upn: str
    mark: str
    enabled: bool | None
    has_plan: bool


class Directory:
    """The users of one tenant, as far as the mailboxes need them.

    `open` are users whose type is not known or who changed since; `guessed` are unchanged ones whose type was only
    guessed, so that asking again is worth one attempt; `mailboxes` counts all users that may have a mailbox.
    """

    def __init__(self, known: Mapping[str, KnownType]) -> None:
        self.known = known
        self.clear()

    def clear(self) -> None:
        """Start over."""
        self.ids: set[str] = set()
        self.open: dict[str, Candidate] = {}
        self.guessed: dict[str, Candidate] = {}
        self.mailboxes = 0

    def add(self, users: Iterable[User]) -> None:
        """Take in a page. A user that comes twice counts once; the later answer holds."""
        ids, known = self.ids, self.known
        for user in users:
            user_id = user.id
            if user_id in ids:
                self.open.pop(user_id, None)
                self.guessed.pop(user_id, None)
            ids.add(user_id)
            has_plan = user.plans is not None and _has_mailbox_plan(user.plans)
            if not has_plan and not (user.mail and _has_smtp_address(user.addresses)):
                continue
            upn = (user.upn or "").lower()
            if (user.user_type or "").lower() == "guest" or "#ext#" in upn:
                continue
            self.mailboxes += 1
            mark = _MARKS[user.enabled, user.user_type == "Member", has_plan, bool(user.licenses)]
            before = known.get(user_id)
            if before is None or before.mark != mark:
                self.open[user_id] = Candidate(upn, mark, user.enabled, has_plan)
            elif before.source == "heuristic":
                self.guessed[user_id] = Candidate(upn, mark, user.enabled, has_plan)


def _has_mailbox_plan(plans: Iterable[Plan]) -> bool:
    # Runs for every plan of every user: the plan's id, in the case Microsoft writes it, nearly always decides.
    for plan in plans:
        if plan.capability == "Enabled":
            if plan.plan_id in MAILBOX_PLANS:
                return True
            if plan.service == "exchange" and (plan.plan_id or "").lower() not in PLANS_WITHOUT_MAILBOX:
                return True
    return False


def _has_smtp_address(addresses: Iterable[str] | None) -> bool:
    return any(address.startswith(("SMTP:", "smtp:")) for address in addresses or ())


def _mark(enabled: bool | None, member: bool, has_plan: bool, licensed: bool) -> str:
    """What a change of mailbox type goes along with: a shared mailbox is a disabled account without license."""
    state = "unknown" if enabled is None else "enabled" if enabled else "disabled"
    return f"{state} {'member' if member else 'other'} {'plan' if has_plan else '-'} {'licensed' if licensed else '-'}"


_MARKS = {
    key: _mark(*key) for key in itertools.product((True, False, None), (True, False), (True, False), (True, False))
}
