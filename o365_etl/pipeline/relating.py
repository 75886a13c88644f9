"""Match, compare, remember: from two sides that were read to one table of differences.

A *stale* tenant is treated as unchanged: its rows stay as they are, and what it matched earlier stays taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from o365_etl.matching.audit import held_back
from o365_etl.matching.organizations import match_organizations as match_by_rules
from o365_etl.pipeline.documentation import is_known
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.store import history, relate
from o365_etl.store.audit import hold_back
from o365_etl.store.warehouse import Db
from o365_etl.tables import HISTORY

MATCHED = ("match.organizations", "match.organization_suggestions")
# IT Glue streams that a key may be refused: what they would tell is then unknown, not empty.
OPTIONAL = ("locations", "license_assets")
COMPARED = ("compare.organizations", "compare.contacts", "compare.licenses")


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
        return Done(_rows(db, MATCHED), _outcomes(db, "match.organizations"))


def _forget_excluded(db: Db) -> None:
    """What was concluded about a tenant that the configuration leaves out since; what was read of it stays."""
    with db.transaction():
        for name in (*MATCHED, "match.contacts", *relate.COMPARED):
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


def _rows(db: Db, tables: Sequence[str]) -> dict[str, int]:
    return {name: int(db.scalar(f"SELECT count(*) FROM {name}")) for name in tables}


def _outcomes(db: Db, table: str) -> dict[str, int]:
    """How many by which rule, or with which status where none decided."""
    return dict(
        db.rows(
            f"SELECT CASE status WHEN 'matched' THEN 'matched by ' || rule ELSE status END AS outcome, count(*)"
            f" FROM {table} GROUP BY ALL ORDER BY ALL"
        )
    )


def match_contacts(workspace: Workspace) -> Done:
    """Fill `match.contacts`, remember new links, and hold back look-alikes; counts users per status and rule."""
    links = workspace.state.links
    _, decisions = workspace.state.decisions.in_force()
    with workspace.tables() as db:
        fresh = _fresh_tenants(workspace, db)
        relate.match_contacts(db, fresh, decisions, links.user_links(), lambda found: _link(workspace, found))
        if workspace.settings.itglue.mode != "off":
            decided = {(decision.tenant_id, decision.user_id) for decision in decisions}
            hold_back(db, fresh, decided, links.first_applied(), held_back)
        return Done(_rows(db, ("match.contacts",)), _outcomes(db, "match.contacts"))


def _link(workspace: Workspace, found: Sequence[relate.UserLink]) -> None:
    """Remember who is who, except of users about whom a person decided otherwise while this match was being made."""
    _, decisions = workspace.state.decisions.in_force()
    other = {(d.tenant_id, d.user_id) for d in decisions if d.contact_id is None}
    workspace.state.links.link_users(row for row in found if row[:2] not in other)


def compare(workspace: Workspace) -> Done:
    """Fill the `compare` tables; counts `table state`."""
    settings = workspace.settings
    with_licenses = [c.name for c in settings.connections if settings.selection_for(c.name).licenses]
    with workspace.tables() as db:
        relate.compare(
            db,
            _fresh_tenants(workspace, db),
            with_licenses,
            known={name: is_known(workspace.landing.receipt("itglue", name)) for name in OPTIONAL},
            places={tenant_id: target for (tenant_id, _), target in workspace.state.links.places("location").items()},
        )
        counts: dict[str, int] = {}
        for name in COMPARED:
            for state, count in db.rows(f"SELECT state, count(*) FROM {name} GROUP BY ALL ORDER BY ALL"):
                counts[f"{name} {state}"] = count
        return Done(_rows(db, COMPARED), counts)


def remember(workspace: Workspace) -> Done:
    """Write the versions of this sync into the `history` tables; counts versions opened per table."""
    with workspace.tables() as db:
        opened = history.write_history(db, now(), _fresh_tenants(workspace, db))
        return Done(_rows(db, tuple(HISTORY)), opened)
