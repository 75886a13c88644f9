"""Match, compare, remember: from two sides that were read to one table of differences.

A *stale* tenant is treated as unchanged: its rows stay as they are, and what it matched earlier stays taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from o365_etl.matching.audit import held_back
from o365_etl.matching.organizations import match_organizations as match_by_rules
from o365_etl.pipeline.documentation import is_known
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.store import history, relate
from o365_etl.store.audit import LOOKED_AT, hold_back
from o365_etl.store.marks import Basis, SliceBasis, unconcluded, unconcluded_slices
from o365_etl.store.warehouse import SLICED, STAGES, Db
from o365_etl.tables import HISTORY, TABLES

MATCHED = ("match.organizations", "match.organization_suggestions")
# IT Glue streams that a key may be refused: what they would tell is then unknown, not empty.
OPTIONAL = ("locations", "license_assets")
COMPARED = ("compare.organizations", "compare.contacts", "compare.licenses")


_SIGNED_IN = ("last_sign_in_at",)
# How a match was found says nothing about who is matched.
HOW_FOUND = ("rule", "evidence", "candidates")
# What each conclusion about a tenant rests on. When somebody signed in last is in none of them.
OF_MATCHES = Basis(
    tenant=("m365.users", "m365.user_addresses", "match.organizations", "first_applied"),
    organization=("itglue.contacts", "itglue.contact_emails", "itglue.contact_phones"),
    pointing=("user_links", "user_decisions"),
    without={
        "m365.users": _SIGNED_IN,
        "match.organizations": ("tenant_name", "organization_name", "rule", "evidence", "decided_by", "decided_at"),
    },
)
# The audit concludes about an organization, from the people it looks at and nobody else.
OF_HOLDING = Basis(tenant=(), organization=LOOKED_AT)
OF_COMPARISONS = Basis(
    tenant=(
        *("m365.tenants", "m365.users", "m365.user_addresses", "m365.licenses", "match.organizations"),
        *("match.contacts", "own_places"),
    ),
    organization=(
        *("itglue.organizations", "itglue.locations", "itglue.license_assets", "itglue.contacts"),
        *("itglue.contact_emails", "itglue.contact_phones"),
    ),
    without={"m365.users": _SIGNED_IN, "match.organizations": HOW_FOUND, "match.contacts": HOW_FOUND},
)
OF_COMPARED_CONTACTS = SliceBasis(
    users=("m365.users", "m365.user_addresses", "match.contacts"),
    contacts=("itglue.contacts", "itglue.contact_emails", "itglue.contact_phones"),
    without={"m365.users": _SIGNED_IN, "match.contacts": HOW_FOUND},
)
_RESTLESS = dict.fromkeys(HISTORY.values(), tuple(history.RESTLESS))
OF_VERSIONS = Basis(tenant=tuple(HISTORY.values()), without=_RESTLESS)
OF_USER_VERSIONS = SliceBasis(
    users=tuple(table for table in HISTORY.values() if "user_id" in TABLES[table].column_names), without=_RESTLESS
)


@dataclass(frozen=True)
class Done:
    """Rows per table written, and aggregates worth showing."""

    rows: Mapping[str, int]
    counts: Mapping[str, int]


def match_organizations(workspace: Workspace) -> Done:
    """Fill `match.organizations` and `match.organization_suggestions`; counts tenants per status and rule."""
    decisions, _ = workspace.state.decisions.in_force()
    links = workspace.state.links.tenant_links()
    with workspace.tables() as db:
        _forget_excluded(db)
        fresh = _fresh_tenants(workspace, db)
        held = dict(
            db.rows(
                "SELECT organization_id, tenant_id FROM match.organizations WHERE status = 'matched'"
                " AND NOT list_contains(?, tenant_id)",
                [fresh],
            )
        )
        matches, suggestions = match_by_rules(
            db.frame(
                "SELECT tenant_id, display_name, name_key FROM m365.tenants WHERE list_contains(?, tenant_id)", [fresh]
            ),
            db.frame("SELECT organization_id, name, name_key, short_name_key FROM itglue.organizations"),
            relate.organization_evidence(db, fresh),
            decisions,
            links,
            held,
        )
        with db.transaction():
            for name, frame in zip(MATCHED, (matches, suggestions), strict=True):
                db.replace(name, relate.as_table(name, frame), fresh)
        found = matches[matches["status"] == "matched"]
        workspace.state.links.link_tenants(
            zip(found["tenant_id"], found["organization_id"], found["rule"], strict=True)
        )
        return Done(db.counts(MATCHED), _outcomes(db, "match.organizations"))


def _forget_excluded(db: Db) -> None:
    """What was concluded about a tenant that the configuration leaves out since; what was read of it stays."""
    if not db.scalar("SELECT count(*) FROM sync.tenants WHERE status = 'excluded'"):
        return
    with db.transaction():
        concluded = (f"work.concluded_{stage}" for stage in (*STAGES, *SLICED))
        for name in (*MATCHED, "match.contacts", *relate.COMPARED, "work.contact_sides", *concluded):
            db.execute(
                f"DELETE FROM {name} WHERE tenant_id IN (SELECT tenant_id FROM sync.tenants WHERE status = 'excluded')"
            )


def _fresh_tenants(workspace: Workspace, db: Db) -> list[str]:
    """Tenants about which something may be concluded: read completely, or decided by a person."""
    of_tenants, of_users = workspace.state.decisions.in_force()
    decided = {each.tenant_id for each in of_tenants} | {each.tenant_id for each in of_users}
    rows = db.rows(
        "SELECT tenant_id FROM m365.tenants t"
        " WHERE (NOT is_stale OR list_contains(?, tenant_id))"
        " AND NOT EXISTS (FROM sync.tenants s WHERE s.tenant_id = t.tenant_id AND s.status = 'excluded')"
        " ORDER BY tenant_id",
        [sorted(decided)],
    )
    return [row[0] for row in rows]


def _outcomes(db: Db, table: str) -> dict[str, int]:
    """How many by which rule, or with which status where none decided."""
    return dict(
        db.rows(
            f"SELECT CASE status WHEN 'matched' THEN 'matched by ' || rule ELSE status END AS outcome, count(*)"
            f" FROM {table} GROUP BY ALL ORDER BY ALL"
        )
    )


def match_contacts(workspace: Workspace) -> Done:
    """Fill `match.contacts`, remember new links, and hold back look-alikes; counts users per status and rule. Tenants
    of which nothing changed since keep their match.
    """
    links = workspace.state.links
    _, decisions = workspace.state.decisions.in_force()
    applied = links.first_applied()
    is_held = workspace.settings.itglue.mode != "off"
    with workspace.tables() as db, relate.known_people(db, decisions, links.user_links()):
        fresh = _fresh_tenants(workspace, db)
        with (
            db.registered(first_applied=_applied_table(applied)),
            unconcluded(db, "match_contacts", fresh, OF_MATCHES, str(is_held)) as due,
        ):
            if due:
                relate.match_contacts(db, due, lambda found: _link(workspace, found), fresh)
            if due and is_held:
                decided = {(decision.tenant_id, decision.user_id) for decision in decisions}
                # The same people leave the same ones to be held, whatever else was matched anew.
                hold_back(
                    db, due, decided, applied, held_back, lambda those: unconcluded(db, "hold_back", those, OF_HOLDING)
                )
        return Done(db.counts(("match.contacts",)), _outcomes(db, "match.contacts"))


def _applied_table(applied: Mapping[str, datetime]) -> pa.Table:
    times = [at.isoformat() for at in applied.values()]
    return pa.table({"tenant_id": pa.array(list(applied), pa.string()), "at": pa.array(times, pa.string())})


def _link(workspace: Workspace, found: Sequence[relate.UserLink]) -> None:
    """Remember who is who, except of users about whom a person decided otherwise while this match was being made."""
    _, decisions = workspace.state.decisions.in_force()
    other = {(d.tenant_id, d.user_id) for d in decisions if d.contact_id is None}
    workspace.state.links.link_users(row for row in found if row[:2] not in other)


def compare(workspace: Workspace) -> Done:
    """Fill the `compare` tables; counts `table state`. Tenants of which nothing changed since keep their comparison."""
    settings = workspace.settings
    with_licenses = [c.name for c in settings.connections if settings.selection_for(c.name).licenses]
    known = {name: is_known(workspace.landing.receipt("itglue", name)) for name in OPTIONAL}
    places = {tenant_id: target for (tenant_id, _), target in workspace.state.links.places("location").items()}
    with workspace.tables() as db:
        fresh = _fresh_tenants(workspace, db)
        with (
            db.registered(own_places=relate.place_table(places)),
            unconcluded(db, "compare", fresh, OF_COMPARISONS, f"{with_licenses} {known}") as due,
        ):
            if due:
                with unconcluded_slices(db, "compare_contacts", due, OF_COMPARED_CONTACTS) as slices:
                    relate.compare(db, due, with_licenses, known=known, places=places, slices=slices)
        counts: dict[str, int] = {}
        for name in COMPARED:
            for state, count in db.rows(f"SELECT state, count(*) FROM {name} GROUP BY ALL ORDER BY ALL"):
                counts[f"{name} {state}"] = count
        return Done(db.counts(COMPARED), counts)


def remember(workspace: Workspace) -> Done:
    """Write the versions of this sync into the `history` tables; counts versions opened per table."""
    opened = dict.fromkeys(HISTORY, 0)
    with workspace.tables() as db:
        with unconcluded(db, "history", _fresh_tenants(workspace, db), OF_VERSIONS) as due:
            if due:
                with unconcluded_slices(db, "versions", due, OF_USER_VERSIONS) as slices:
                    opened = history.write_history(db, now(), due, slices)
        return Done(db.counts(tuple(HISTORY)), opened)
