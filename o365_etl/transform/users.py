"""`m365.users`, `m365.user_addresses` and `m365.license_assignments` of one tenant.

This is the hot loop of the transforms: a million users pass here. Each user is decoded once and the columns are built
by comprehension; nothing is allocated per user that a column does not need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec
import pyarrow as pa

from o365_etl.config import Cloud, Selection
from o365_etl.merging import overlay, read_changes
from o365_etl.normalise import normalise, person_key
from o365_etl.transform.answers import AssignmentState, MailboxType, Page, SignIn, User
from o365_etl.transform.catalogue import Catalogue
from o365_etl.transform.columns import Values, times, to_table
from o365_etl.transform.decode import decode, decode_all
from o365_etl.transform.licenses import License
from o365_etl.transform.portal import user_links
from o365_etl.transform.scope import SelectedSkus, out_of_scope_reason

DIRECT = "direct"
# States in which the license works, for users whose assignedLicenses were not told.
_HOLDING_STATES = frozenset(("Active", "ActiveWithError"))
_EXTERNAL_MARK = "#ext#"


def decode_users(pages: Iterable[bytes], changed: Sequence[bytes] = ()) -> dict[str, User]:
    """The users by object id (lower case). A user that came twice counts as it came last.

    `changed` are pages of changes since: what they tell of a user holds, the rest of it stays, nobody goes.
    """
    users = {user.id.lower(): user for page in decode_all(pages, Page[User]) for user in page.value or () if user.id}
    if changed:
        changes = read_changes(changed)
        for user in decode(changes.page(), Page[User]).value or ():
            if user.id and (user_id := user.id.lower()) in changes.objects:
                users[user_id] = _changed(users.get(user_id, user), user, changes.objects[user_id])
    return users


def _changed(old: User, new: User, told: Collection[str]) -> User:
    """A user of whom `told` was told anew. How licenses were assigned is not always told with them: what is known of
    that from before holds only for products the user still has.
    """
    user = overlay(old, new, told)
    if "assignedLicenses" not in told or "licenseAssignmentStates" in told or user.license_assignment_states is None:
        return user
    held = set(held_skus(user))
    states = [
        state
        for state in user.license_assignment_states
        if state.state not in _HOLDING_STATES or (state.sku_id or "").lower() in held
    ]
    return msgspec.structs.replace(user, license_assignment_states=tuple(states))


def decode_sign_ins(pages: Iterable[bytes]) -> dict[str, str | None]:
    """When the last interactive sign-in was, as Microsoft writes it, by object id (lower case)."""
    return {
        sign_in.id.lower(): sign_in.sign_in_activity.last_sign_in_date_time
        for page in decode_all(pages, Page[SignIn])
        for sign_in in page.value or ()
        if sign_in.id and sign_in.sign_in_activity
    }


def held_skus(user: User) -> list[str]:
    """The products a user holds, ids in lower case."""
    if user.assigned_licenses is not None:
        return [license_.sku_id.lower() for license_ in user.assigned_licenses if license_.sku_id]
    states = user.license_assignment_states or ()
    return [state.sku_id.lower() for state in states if state.sku_id and state.state in _HOLDING_STATES]


def is_guest(user: User) -> bool:
    """Guest by type, or external by the mark in the user name (an external member)."""
    if user.user_type is not None and user.user_type.casefold() == "guest":
        return True
    upn = user.user_principal_name
    return upn is not None and "#" in upn and _EXTERNAL_MARK in upn.lower()


def user_table(
    tenant_id: str,
    users: Mapping[str, User],
    *,
    cloud: Cloud,
    selection: Selection,
    licenses: Mapping[str, License],
    catalogue: Catalogue,
    mailbox_types: Mapping[str, MailboxType],
    sign_ins: Mapping[str, str | None],
) -> pa.Table:
    """`m365.users` of one tenant."""
    ids, rows = list(users), list(users.values())
    guests = [is_guest(user) for user in rows]
    held = [held_skus(user) for user in rows]
    selected = SelectedSkus(selection, licenses, catalogue)
    unknown = MailboxType()
    grounds = [
        (guest, user.account_enabled, mailbox_types.get(user_id, unknown).type, selected.any_of(skus))
        for user_id, user, guest, skus in zip(ids, rows, guests, held, strict=True)
    ]
    # Many users, few different grounds.
    reason_of = {
        (guest, enabled, kind, has_sku): out_of_scope_reason(
            selection, is_guest=guest, account_enabled=enabled, mailbox_type=kind, has_selected_sku=has_sku
        )
        for guest, enabled, kind, has_sku in set(grounds)
    }
    reasons = [reason_of[each] for each in grounds]
    columns: dict[str, Values] = {
        "tenant_id": tenant_id,
        "user_id": ids,
        "user_principal_name": [user.user_principal_name or None for user in rows],
        "display_name": [user.display_name or None for user in rows],
        "given_name": [user.given_name or None for user in rows],
        "surname": [user.surname or None for user in rows],
        "mail": [user.mail or None for user in rows],
        "job_title": [user.job_title or None for user in rows],
        "department": [user.department or None for user in rows],
        "company_name": [user.company_name or None for user in rows],
        "office_location": [user.office_location or None for user in rows],
        "business_phone": [first_text(user.business_phones) for user in rows],
        "mobile_phone": [user.mobile_phone or None for user in rows],
        "usage_location": [user.usage_location or None for user in rows],
        "user_type": [user.user_type or None for user in rows],
        "account_enabled": [user.account_enabled for user in rows],
        "is_guest": guests,
        "is_licensed": [bool(skus) for skus in held],
        "is_synced_from_ad": [user.on_premises_sync_enabled is True for user in rows],
        "created_at": times([user.created_date_time for user in rows]),
        "last_sign_in_at": times([sign_ins.get(user_id) for user_id in ids]),
        "in_scope": [reason is None for reason in reasons],
        "out_of_scope_reason": reasons,
        "manage_url": user_links(cloud, tenant_id, ids),
        "name_key": [person_key(user.given_name, user.surname) for user in rows],
    }
    return to_table("m365.users", columns, len(rows))


def first_text(values: Sequence[str] | None) -> str | None:
    """The first value that is not empty."""
    for value in values or ():
        if value:
            return value
    return None


def user_addresses(user: User) -> dict[str, str]:
    """Every address of a user, normalised, each once under its strongest kind: primary, alias, upn, other."""
    kinds: dict[str, str] = {}
    aliases = []
    for proxy in user.proxy_addresses or ():
        if proxy.startswith("SMTP:"):
            kinds[normalise(proxy[5:])] = "primary"
        elif proxy[:5].lower() == "smtp:":
            aliases.append(normalise(proxy[5:]))
    # Most users are spelt the same everywhere: an address that stands there as it is needs no second folding.
    if user.mail and user.mail not in kinds:
        # Where mail and the main SMTP address differ, the SMTP address is the one mail is sent from.
        kinds.setdefault(normalise(user.mail), "alias" if kinds else "primary")
    for address in aliases:
        kinds.setdefault(address, "alias")
    if user.user_principal_name and user.user_principal_name not in kinds:
        kinds.setdefault(normalise(user.user_principal_name), "upn")
    for address in user.other_mails or ():
        kinds.setdefault(normalise(address), "other")
    kinds.pop("", None)
    return kinds


def address_table(tenant_id: str, users: Mapping[str, User]) -> pa.Table:
    """`m365.user_addresses` of one tenant."""
    ids: list[str] = []
    addresses: list[str] = []
    kinds: list[str] = []
    for user_id, user in users.items():
        found = user_addresses(user)
        ids += [user_id] * len(found)
        addresses += found
        kinds += found.values()
    columns: dict[str, Values] = {"tenant_id": tenant_id, "user_id": ids, "address": addresses, "kind": kinds}
    return to_table("m365.user_addresses", columns, len(ids))


def assignment_table(
    tenant_id: str, users: Mapping[str, User], licenses: Mapping[str, License], catalogue: Catalogue
) -> pa.Table:
    """`m365.license_assignments` of one tenant."""
    ids: list[str] = []
    kinds: list[tuple[str, str]] = []
    states: list[AssignmentState | None] = []
    for user_id, user in users.items():
        found = _assignments(user)
        ids += [user_id] * len(found)
        kinds += found
        states += found.values()
    sku_ids = [sku_id for sku_id, _ in kinds]
    names = {sku_id: _name(sku_id, licenses, catalogue) for sku_id in set(sku_ids)}
    columns: dict[str, Values] = {
        "tenant_id": tenant_id,
        "user_id": ids,
        "sku_id": sku_ids,
        "assigned_by": [assigned_by for _, assigned_by in kinds],
        "product_name": [names[sku_id] for sku_id in sku_ids],
        "state": [state.state if state else None for state in states],
        "error": [state.error if state and state.error != "None" else None for state in states],
    }
    return to_table("m365.license_assignments", columns, len(ids))


def _name(sku_id: str, licenses: Mapping[str, License], catalogue: Catalogue) -> str:
    license_ = licenses.get(sku_id)
    return catalogue.name(sku_id, license_.part_number if license_ else None)


def _assignments(user: User) -> dict[tuple[str, str], AssignmentState | None]:
    """Each (product, assigned by) of a user once; a product without any state counts as assigned directly."""
    found: dict[tuple[str, str], AssignmentState | None] = {}
    explained = []
    for state in user.license_assignment_states or ():
        if state.sku_id:
            sku_id = state.sku_id.lower()
            explained.append(sku_id)
            found[sku_id, state.assigned_by_group.lower() if state.assigned_by_group else DIRECT] = state
    for license_ in user.assigned_licenses or ():
        if license_.sku_id and (sku_id := license_.sku_id.lower()) not in explained:
            found[sku_id, DIRECT] = None
    return found
