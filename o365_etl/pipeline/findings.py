"""What the answers of tenants, connections and IT Glue mean for a person: what, why it matters, and the mend.

Texts name tenants, connections and permissions, never a person. What does not live here: asking (`graph.probe`,
`itglue.probe`), in which order (`doctor`), and this machine (`machine`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from o365_etl.config import Cloud, Connection, ItGlue
from o365_etl.errors import ForbiddenError, O365EtlError, SignInError, TransientError, UnreachableError
from o365_etl.graph import rights
from o365_etl.graph.endings import Ending
from o365_etl.graph.mailboxes import SHOW_NAMES
from o365_etl.graph.probe import TenantAnswer
from o365_etl.itglue.probe import KeyAnswer, region_in_use
from o365_etl.transform.portal import relationship_link, tenant_link

Kind = Literal["machine", "itglue", "connection", "tenant"]
Level = Literal["ok", "note", "warning", "error"]
KINDS: tuple[Kind, ...] = ("machine", "itglue", "connection", "tenant")
LEVELS: tuple[Level, ...] = ("error", "warning", "note", "ok")
SOON = timedelta(days=60)
"""What ends this soon is worth a warning."""

_OF_THE_TENANT = ("app_disabled", "conditional_access", "not_consented", "tenant_unavailable")
_UNREAD = "Nothing of this tenant is read; what is known of it stays as it is, marked stale."
_ANY_SECRET = "Whoever gets hold of the application's secret could do that; this program only reads."


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `code` names it for programs; `tenant_id` is that of a tenant's finding."""

    kind: Kind
    name: str
    level: Level
    code: str
    what: str
    why: str = ""
    mend: str = ""
    tenant_id: str | None = None


def all_well(kind: Kind, name: str, what: str, tenant_id: str | None = None) -> Finding:
    """Nothing that needs a hand."""
    return Finding(kind, name, "ok", "ok", what, tenant_id=tenant_id)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """True if no finding is an error or a warning."""
    return all(finding.level in ("ok", "note") for finding in findings)


def of_the_connection(error: O365EtlError) -> bool:
    """True if a refused sign-in in the application's own tenant is for the connection to mend, not for the tenant."""
    return not (isinstance(error, SignInError) and error.code in _OF_THE_TENANT)


def of_tenant(answer: TenantAnswer, name: str, cloud: Cloud, ending: Ending | None, at: datetime) -> list[Finding]:
    """Everything about one tenant that answered, or did not."""
    tenant_id = answer.tenant_id or answer.target.tenant_id

    def finding(level: Level, code: str, what: str, why: str, mend: str) -> Finding:
        return Finding("tenant", name, level, code, what, why, mend, tenant_id)

    found = []
    if answer.error is not None:
        error = answer.error
        found.append(finding(_severity(error), error.code, error.message, _UNREAD, error.remedy))
    needs = rights.tenant_needs(cloud, premium=answer.premium)
    if answer.roles is not None:
        judged = rights.judge(answer.roles, needs, answer.target.kind)
        missing = judged.missing
        found += [finding(*words) for words in _excess(judged, tenant_link(cloud, tenant_id))]
        granted = {need.permission: need for need in needs if need not in missing}
        for permission, refusal in answer.refusals.items():
            if permission in granted:
                found.append(finding(*_forbidden(granted[permission], refusal)))
    else:
        missing = tuple(need for need in needs if need.permission in answer.refusals)
    found += [finding(*words) for words in _missing(missing, answer.consent_link or "")]
    if answer.conceals:
        what = "its usage reports show pseudonyms instead of names"
        found.append(finding("warning", "concealed", what, "Mailbox sizes of this tenant stay unknown.", SHOW_NAMES))
    if answer.premium is False:
        what = "it has no Entra ID P1 or P2"
        why = "Microsoft tells nobody's last sign-in without it."
        found.append(finding("note", "no_premium", what, why, "No mend needed, unless the last sign-in is wanted."))
    if ending is not None and ending.ends_at < at + SOON:
        found.append(finding(*_ending(ending, cloud, at)))
    if is_healthy(found):
        found.append(all_well("tenant", name, "answers, and grants all that is needed", tenant_id))
    return found


def of_unlisted(answer: TenantAnswer, name: str) -> Finding:
    """A tenant that was read before, and that the partner tenant lists no longer."""
    tenant_id = answer.target.tenant_id
    if answer.error is not None and answer.error.code in ("tenant_not_found", "tenant_unavailable"):
        return Finding(
            "tenant",
            name,
            "error",
            answer.error.code,
            "the partner tenant no longer lists it, and Microsoft knows it no more: it was deleted",
            "Its last rows stay, marked stale; its contacts in IT Glue are not touched.",
            f'Add "{tenant_id}" to `selection.exclude_tenants`.',
            tenant_id,
        )
    return Finding(
        "tenant",
        name,
        "error",
        "not_listed",
        "the partner tenant no longer lists it",
        _UNREAD,
        "Renew the relationship in Partner Center, or add the tenant to `selection.exclude_tenants`.",
        tenant_id,
    )


def of_partner(connection: Connection, roles: frozenset[str] | None) -> Iterator[Finding]:
    """What a partner's own tenant grants for listing its customers."""
    if roles is None:
        return
    cloud = connection.cloud
    needs = rights.partner_needs(cloud)
    judged = rights.judge(roles, needs, "partner")
    if judged.missing:
        none_left = len(judged.missing) == len(needs)
        names = " or ".join(need.permission for need in judged.missing)
        yield Finding(
            "connection",
            connection.name,
            "error" if none_left else "note",
            "missing_permission",
            f"its own tenant does not grant {names}",
            "No customer can be listed." if none_left else _sentence(need.without for need in judged.missing),
            "Add it to the app registration as an application permission, and grant admin consent there.",
        )
    for level, code, what, why, mend in _excess(judged, tenant_link(cloud, connection.tenant_id)):
        yield Finding("connection", connection.name, level, code, what, why, mend)


def of_key(settings: ItGlue, answer: KeyAnswer) -> Iterator[Finding]:
    """What IT Glue said about the key."""
    if answer.error is not None:
        error, mend = answer.error, answer.error.remedy
        if error.code in ("itglue_key", "not_found"):
            mend += f" {region_in_use(settings)}"
        yield Finding("itglue", "IT Glue", "error", error.code, error.message, "Nothing can be matched.", mend)
        return
    if answer.organizations == 0:
        yield Finding(
            "itglue",
            "IT Glue",
            "warning",
            "no_organizations",
            "the key is valid, but sees no organization",
            "Tenants have nothing to be matched with.",
            "Check that the key is of the right account, and that the account has organizations.",
        )
    else:
        seen = "organizations" if answer.organizations is None else f"{answer.organizations:,} organizations"
        yield all_well("itglue", "IT Glue", f"the key is valid and sees {seen}")
    if settings.mode == "apply":
        yield Finding(
            "itglue",
            "IT Glue",
            "note",
            "write_unknown",
            "whether the key may write is unknown until the first write",
            "IT Glue tells it only to whoever writes, and this command never does.",
            "No mend needed: if the key may not write, the first write says so.",
        )


def of_error(connection: Connection, error: O365EtlError) -> Finding:
    """Why nothing can be had of a connection."""
    level, why = _severity(error), "Its tenants are not read."
    return Finding("connection", connection.name, level, error.code, error.message, why, error.remedy)


def of_listing(connection: Connection, error: O365EtlError) -> Finding:
    """Why a partner's customers could not be listed to the end."""
    what = f"not all its customers could be listed: {error.message}"
    why = "New ones may be missing; those that are known are read all the same."
    return Finding("connection", connection.name, _severity(error), error.code, what, why, error.remedy)


def _severity(error: O365EtlError) -> Level:
    """A tenant without consent is a normal state, and what passes by itself needs no hand."""
    passing = isinstance(error, TransientError) and not isinstance(error, UnreachableError)
    return "warning" if passing or error.code == "not_consented" else "error"


_Words = tuple[Level, str, str, str, str]


def _missing(missing: Sequence[rights.Need], consent_link: str) -> Iterator[_Words]:
    for core in (True, False):
        if needs := [need for need in missing if need.core is core]:
            names = ", ".join(f"{need.permission} ({need.stream})" for need in needs)
            mend = (
                "Add it to the app registration as an application permission; then a Global Administrator of the "
                f"tenant opens {consent_link} (it takes a few minutes to count)."
            )
            why = _sentence(need.without for need in needs)
            yield "error" if core else "warning", "missing_permission", f"not granted: {names}", why, mend


def _excess(judged: rights.Judgement, link: str | None) -> Iterator[_Words]:
    mend = (
        "Remove it from the app registration, and revoke it in the tenant: Enterprise applications, this application, "
        f"Permissions{f' ({link})' if link else ''}."
    )
    if judged.writes:
        yield "warning", "write_permission", f"granted beyond reading: {', '.join(judged.writes)}", _ANY_SECRET, mend
    if judged.others:
        what = f"granted but not needed: {', '.join(judged.others)}"
        yield "note", "excess_permission", what, "What is not needed is better not granted.", mend


def _forbidden(need: rights.Need, refusal: ForbiddenError) -> _Words:
    what = f"{need.permission} ({need.stream}) is granted, but the tenant forbids its use"
    mend = f"{refusal.remedy} Look for a policy there, or try again in a few minutes."
    return "error" if need.core else "warning", refusal.code, what, _sentence([need.without]), mend


def _ending(ending: Ending, cloud: Cloud, at: datetime) -> _Words:
    link = relationship_link(cloud, ending.tenant_id, ending.relationship_id)
    days = max((ending.ends_at - at).days, 0)
    return (
        "warning",
        "access_ends",
        f"its last GDAP relationship ends on {ending.ends_at:%Y-%m-%d}, in {days} days",
        "After that the partner tenant may list it no longer, and then it is not read.",
        f"Renew it, or switch on its automatic extension, in Partner Center{f': {link}' if link else '.'}",
    )


def _sentence(parts: Iterable[str]) -> str:
    text = "; ".join(dict.fromkeys(parts))
    return f"{text[:1].upper()}{text[1:]}."
