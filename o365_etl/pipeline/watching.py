"""What a person should look at after a sync: broken table contracts, tenants not read, and other surprises.

Findings carry tenant ids, product ids, counts and remedies; never personal data, for they are kept for ever.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from o365_etl.pipeline.workspace import Workspace
from o365_etl.store.checks import broken_rules as rules_broken_in
from o365_etl.tables import BRAKE_MARK, TABLES

# A table may shrink by this share from one sync to the next before somebody should look.
FALL = 0.2
# Below this many rows a share says nothing.
FALL_FLOOR = 20
WATCHED = ("m365.users", "m365.licenses", "m365.mailboxes", "itglue.organizations", "itglue.contacts")


@dataclass(frozen=True)
class Finding:
    """What one check found: whether all is well, numbers, and what to look at as Markdown."""

    passed: bool
    markdown: str
    numbers: Mapping[str, int] = field(default_factory=dict)


def broken_rules(workspace: Workspace, tables: Sequence[str]) -> dict[str, Mapping[str, int]]:
    """Table → rule → rows that break it, for the contracts of these tables; a table that keeps its own has no rule."""
    with workspace.tables() as db:
        return {table: rules_broken_in(db, TABLES[table]) for table in tables}


def tenants_not_read(workspace: Workspace) -> Finding:
    """Tenants whose last read was not complete, with since-when and the mend."""
    with workspace.tables() as db:
        rows = db.rows(
            "SELECT tenant_id, status, coalesce(error_code, ''), coalesce(strftime(last_ok_at, '%Y-%m-%d %H:%M'),"
            " 'never'), coalesce(remedy, '') FROM sync.tenants WHERE status NOT IN ('ok', 'excluded') ORDER BY ALL"
        )
    return _finding(rows, ("tenant", "status", "code", "last read", "what to do"), "tenants not read completely")


def concealed_reports(workspace: Workspace) -> Finding:
    """Tenants whose mailbox figures are unknown because their reports conceal names."""
    with workspace.tables() as db:
        rows = db.rows(
            "SELECT tenant_id, count(*) FROM m365.mailboxes WHERE unknown_reason = 'concealed'"
            " GROUP BY ALL ORDER BY ALL"
        )
    finding = _finding(rows, ("tenant", "mailboxes"), "tenants that conceal names")
    place = "\n\nSwitch it off in the Microsoft 365 admin center: Settings, Org settings, Reports."
    return finding if finding.passed else Finding(False, finding.markdown + place, finding.numbers)


def rights_not_least(workspace: Workspace) -> Finding:
    """Tenants whose consent lacks a permission that a stream needs, or grants more than is needed."""
    with workspace.tables() as db:
        found = db.rows(
            "SELECT tenant_id, missing_permissions, excess_permissions FROM sync.tenants"
            " WHERE missing_permissions <> '[]' OR excess_permissions <> '[]' ORDER BY ALL"
        )
    rows = [(row[0], *(", ".join(json.loads(cell or "[]")) for cell in row[1:])) for row in found]
    finding = _finding(rows, ("tenant", "missing", "not needed"), "tenants with other rights than needed")
    mend = "\n\n`o365-etl doctor` says what each is for and how to mend it."
    return finding if finding.passed else Finding(False, finding.markdown + mend, finding.numbers)


def unknown_skus(workspace: Workspace) -> Finding:
    """Products without a name in the catalogue, and how to give them one."""
    with workspace.tables() as db:
        rows = db.rows(
            "SELECT sku_id, coalesce(sku_part_number, 'not told'), tenants, users,"
            " coalesce(consumed::VARCHAR, 'not told'), strftime(first_seen_at, '%Y-%m-%d')"
            " FROM m365.unknown_skus ORDER BY ALL"
        )
    heads = ("product id", "part number", "tenants", "users", "licenses in use", "first seen")
    finding = _finding(rows, heads, "unknown products")
    mend = (
        "\n\nThey show their part number until Microsoft's list names them; to name one yourself, write"
        ' `"product id" = "name"` below `[catalogue.names]`.'
    )
    return finding if finding.passed else Finding(False, finding.markdown + mend, finding.numbers)


def fallen_rows(workspace: Workspace) -> Finding:
    """Tables that lost more than a fifth of their rows since the last sync that went well."""
    before: Mapping[str, int] = next(
        (run["counts"] for run in workspace.state.runs(limit=20) if run["status"] == "ok"), {}
    )
    rows = []
    with workspace.tables() as db:
        for table, today in db.counts(WATCHED).items():
            then = before.get(table, 0)
            if then >= FALL_FLOOR and today < then * (1 - FALL):
                rows.append((table, then, today))
    return _finding(rows, ("table", "rows before", "rows now"), "tables that shrank")


def brakes_pulled(workspace: Workspace) -> Finding:
    """Tenants whose plan waits for a person, and why."""
    with workspace.tables() as db:
        rows = db.rows(
            f"SELECT tenant_id, count(*), split_part(any_value(reason), '{BRAKE_MARK}', 2)"
            " FROM sync.changes WHERE state = 'blocked' GROUP BY ALL ORDER BY ALL"
        )
    return _finding(rows, ("tenant", "changes", "why"), "tenants that wait for approval")


def changes_not_written(workspace: Workspace) -> Finding:
    """Changes that IT Glue refused, and writes whose outcome nobody knows; by tenant and kind, never with a text."""
    with workspace.tables() as db:
        rows = db.rows(
            "SELECT coalesce(tenant_id, 'account'), action || ' ' || resource, count(*) FROM sync.changes"
            " WHERE state = 'failed' GROUP BY ALL ORDER BY ALL"
        )
    pending = len(workspace.state.intents.pending())
    if pending:
        rows.append(("", "outcome not known yet: the next run finds out", pending))
    return _finding(rows, ("tenant", "what", "changes"), "changes not written")


def _finding(rows: Sequence[tuple[object, ...]], heads: tuple[str, ...], what: str) -> Finding:
    if not rows:
        return Finding(True, "Nothing.", {what: 0})
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return Finding(False, "\n".join(lines), {what: len(rows)})
