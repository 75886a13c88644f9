"""Which application permissions each stream needs, which wider ones also do, and which were granted beyond that.

Names of Microsoft Graph's application permissions (app roles). Pure: what was granted comes from a token
(`granted`) or from asking (`probe`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from o365_etl.config import Cloud
from o365_etl.graph.sign_in import Token

Kind = Literal["partner", "direct"]


@dataclass(frozen=True, slots=True)
class Need:
    """One permission and what it is for. `also` suffice in its place; `core`: without it a sync of the tenant fails."""

    stream: str
    permission: str
    also: tuple[str, ...]
    without: str
    core: bool = False

    def is_met(self, roles: Collection[str]) -> bool:
        """True if one of the permissions is among the roles."""
        return self.permission in roles or any(role in roles for role in self.also)


_DIRECTORY = ("Directory.Read.All", "Directory.ReadWrite.All")
_USERS = ("User.Read.All", "User.ReadWrite.All")
_ORGANIZATION = ("Organization.Read.All", "Organization.ReadWrite.All")
_TENANT = (
    Need(
        "tenants",
        "Organization.Read.All",
        ("Organization.ReadWrite.All", *_USERS, *_DIRECTORY),
        "the tenant cannot be read at all",
        core=True,
    ),
    Need(
        "domains",
        "Domain.Read.All",
        ("Domain.ReadWrite.All", *_DIRECTORY),
        "the tenant cannot be matched by its domains",
        core=True,
    ),
    Need(
        "users",
        "User.Read.All",
        ("User.ReadWrite.All", *_DIRECTORY),
        "users cannot be read, so there are no contacts",
        core=True,
    ),
    Need(
        "licenses",
        "LicenseAssignment.Read.All",
        ("LicenseAssignment.ReadWrite.All", *_ORGANIZATION, *_DIRECTORY),
        "licenses are not documented, and nobody can be chosen by license",
        core=True,
    ),
    Need("mailboxes", "Reports.Read.All", (), "mailbox sizes stay unknown"),
    Need(
        "mailboxes",
        "ReportSettings.Read.All",
        ("ReportSettings.ReadWrite.All",),
        "whether reports conceal names has to be guessed from the report",
    ),
    Need(
        "mailboxes",
        "MailboxSettings.Read",
        ("MailboxSettings.ReadWrite",),
        "shared, room and equipment mailboxes have to be guessed",
    ),
    Need("sign_ins", "AuditLog.Read.All", (), "the last sign-in stays unknown"),
)
_PARTNER = (
    Need("contracts", "Directory.Read.All", ("Directory.ReadWrite.All",), "customers are listed by GDAP alone"),
    Need(
        "gdap",
        "DelegatedAdminRelationship.Read.All",
        ("DelegatedAdminRelationship.ReadWrite.All",),
        "customers are listed by contracts alone, and nobody sees when a relationship ends",
    ),
)
_GLOBAL_ONLY = {"Reports.Read.All", "ReportSettings.Read.All", "DelegatedAdminRelationship.Read.All"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Granted against needed: what is missing, what may do more than read, and what else is not needed."""

    missing: tuple[Need, ...]
    writes: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def excess(self) -> list[str]:
        """All that could be taken away."""
        return sorted((*self.writes, *self.others))


def has_usage_reports(cloud: Cloud) -> bool:
    """True if Microsoft offers usage reports and their settings in this cloud. US GCC is part of the global one."""
    return cloud == "global"


def has_gdap(cloud: Cloud) -> bool:
    """True if Microsoft offers granular delegated admin relationships in this cloud."""
    return cloud == "global"


def tenant_needs(cloud: Cloud, *, premium: bool | None = None) -> tuple[Need, ...]:
    """What reading a tenant needs. Without Entra ID P1 (`premium` False) there are no sign-ins to be read."""
    return tuple(
        need
        for need in _TENANT
        if (cloud == "global" or need.permission not in _GLOBAL_ONLY)
        and not (need.stream == "sign_ins" and premium is False)
    )


def partner_needs(cloud: Cloud) -> tuple[Need, ...]:
    """What listing the customers needs in the partner's own tenant; one list is enough."""
    return tuple(need for need in _PARTNER if cloud == "global" or need.permission not in _GLOBAL_ONLY)


def granted(token: Token) -> frozenset[str] | None:
    """The permissions in a token: none at all if it can be read and names none, None if it cannot be read."""
    if token.roles is None and token.tenant_id is not None:
        return frozenset()  # Microsoft leaves the claim out
    return token.roles


def judge(roles: Collection[str], needs: Sequence[Need], kind: Kind) -> Judgement:
    """Hold what was granted against what is needed.

    Consent always grants all that the application asks for: what a partner's application needs at home, or for
    another cloud or edition, stands in every customer's tenant too and is no excess there.
    """
    asked_for = {need.permission for need in _TENANT}
    if kind == "partner":
        asked_for |= {need.permission for need in _PARTNER}
    writes = tuple(sorted(role for role in roles if may_write(role)))
    kept = set(roles).difference(writes)
    others = []
    for role in sorted(kept - asked_for):
        # A wide permission is needed only where it stands in for a narrow one that is missing.
        if all(need.is_met(kept - {role}) for need in needs if need.is_met(kept)):
            kept.discard(role)
            others.append(role)
    return Judgement(tuple(need for need in needs if not need.is_met(roles)), writes, tuple(others))


def may_write(role: str) -> bool:
    """True for whatever is not plainly a permission to read: `X.ReadWrite.All`, `Mail.Send`, `full_access_as_app`."""
    verb = role.split(".")[1:2]
    return not (verb and verb[0].lower().startswith("read") and "write" not in verb[0].lower())
