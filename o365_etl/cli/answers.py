"""How answers look on a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from o365_etl.cli.output import cell, console, print_counts, print_table
from o365_etl.cli.shown import show_explained_changes

Row = Mapping[str, Any]

MARKS = {
    "ok": ("✓", "green"),
    "partial": ("◐", "yellow"),
    "failed": ("✗", "red"),
    "not_consented": ("○", "yellow"),
    "quarantined": ("■", "red"),
    "excluded": ("–", "dim"),
}


def show_status(found: Row) -> None:
    """Connections, the last and the next syncs, tenants that need a look."""
    print_table(
        "Connections",
        ("name", "kind", "tenants ok", "tenants not ok"),
        [
            (c["name"] + (" (paused)" if c["paused"] else ""), c["kind"], c["tenants_ok"], c["tenants_not_ok"])
            for c in found["connections"]
        ],
        empty="none configured.",
    )
    schedule = found["schedule"]
    line = Text(f"Scheduled: {schedule['cron']} ({schedule['timezone']}), next at ")
    console().print(line.append_text(cell(schedule["next_at"])))
    if found["queued"]:
        print_table(
            "Queued",
            ("request", "due", "trigger", "asked by", "tenants"),
            [
                (q["request_id"], q["due_at"], q["trigger"], q["who"], _asked_for(q["tenants"], q["only_failed"]))
                for q in found["queued"]
            ],
            empty="none.",
        )
    print_table(
        "Last syncs",
        ("started", "ended", "trigger", "status", "tenants ok", "not read"),
        [
            (r["started_at"], r["ended_at"], r["trigger"], r["status"], r["tenants_ok"], r["tenants_failed"])
            for r in found["runs"]
            if r["status"] != "queued"
        ],
        empty="none yet.",
    )
    show_tenants([row for row in found["tenants"] if row["status"] != "ok" or row["remedy"]])


def _asked_for(tenants: Sequence[str], only_failed: bool) -> str:
    named = ", ".join(tenants) or "all"
    return f"{named}, only failed" if only_failed else named


def show_tenants(rows: Sequence[Row]) -> None:
    """Tenants that were not read completely, or where a part is not to be had, each with what to do."""
    out = console()
    if not rows:
        out.print(Text("Tenants to look at: none."))
        return
    out.print(Text("Tenants to look at", style="bold"))
    for row in rows:
        mark, style = MARKS[row["status"]]
        line = Text(f"  {mark} ", style=style)
        line.append_text(cell(row["display_name"] or f"{row['connection']}: {row['tenant_id']}"))
        why = f" ({row['error_code']})" if row["error_code"] else ""
        line.append(f"  {row['status']}{why}, ", style="default")
        line.append("last read " if row["as_of"] else "never read")
        if row["as_of"]:
            line.append_text(cell(row["as_of"]))
        if row["failing_since"]:
            line.append(", failing since ").append_text(cell(row["failing_since"]))
        if row["next_try_at"]:
            line.append(", next try ").append_text(cell(row["next_try_at"]))
        out.print(line)
        if row["remedy"]:
            out.print(Text(f"      → {row['remedy']}", style="dim"), soft_wrap=True)


def show_log(entries: Sequence[Row]) -> None:
    """Log entries, newest last."""
    print_table(
        "Sync log",
        ("at", "level", "tenant", "stream", "message"),
        [(e["at"], e["level"], e["tenant_id"], e["stream"], e["message"]) for e in entries],
        empty="empty.",
    )


def show_matches(rows: Sequence[Row]) -> None:
    """Tenants and their organizations."""
    print_table(
        "Tenants and organizations",
        ("tenant", "status", "organization", "by", "best suggestion", "score"),
        [
            (
                row["tenant_name"],
                row["status"],
                row["organization_name"],
                row["rule"],
                row["suggested_name"],
                row["score"],
            )
            for row in rows
        ],
        empty="no tenant was read yet.",
    )


def show_summary(found: Row) -> None:
    """What a sync found."""
    console().print()
    print_counts("Tenants", found["tenants"])
    show_tenants(found["not_ok"])
    console().print()
    print_counts("Read", found["rows"])
    show_conclusions(found)


def show_conclusions(found: Row) -> None:
    """Who belongs to whom, and what follows from it."""
    print_counts("Tenants matched by", found["organization_matches"])
    print_counts("Users matched by", found["contact_matches"])
    print_table(
        "Suggestions for a person to decide",
        ("tenant", "organization", "score", "evidence"),
        [
            (row["tenant_name"], row["organization_name"], row["score"], evidence(row["evidence"]))
            for row in found["suggestions"]
        ],
        empty="none.",
    )
    console().print()
    print_table(
        "Differences",
        ("what", "field", "different", "only in Microsoft 365", "only in IT Glue"),
        [
            (row["what"], row["field"], row["different"], row["only_m365"], row["only_itglue"])
            for row in found["differences"]
        ],
        empty="none.",
    )
    console().print()
    print_counts("Plan", found["changes"])


def evidence(document: str | None) -> str:
    """A JSON object of evidence as words."""
    facts = json.loads(document or "{}")
    return ", ".join(f"{name.replace('_', ' ')}: {_words(value)}" for name, value in facts.items() if value)


def _words(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else str(value)


def show_explanation(one: Row) -> None:
    """One user, step by step."""
    user, read = one["user"], (one["read"] or [{}])[0]
    out = console()
    out.print(Text(f"\n{user['user_principal_name']}", style="bold"))
    _step(
        "1 read",
        f"tenant {read.get('display_name')}, as of",
        read.get("as_of"),
        "stale" if read.get("is_stale") else "",
    )
    _step("2 in scope", "yes" if one["in_scope"] else f"no: {one['out_of_scope_reason']}")
    organization = (one["organization"] or [{}])[0]
    _step(
        "3 organization",
        organization.get("status", "not concluded"),
        organization.get("organization_name") or "",
        f"by {organization['rule']}" if organization.get("rule") else "",
    )
    match = one["match"] or {}
    _step(
        "4 contact",
        match.get("status", "not concluded"),
        f"by {match['rule']}" if match.get("rule") else "",
        evidence(match.get("evidence")),
    )
    print_table(
        "Candidates",
        ("contact", "first name", "last name", "addresses", "owned by", "matched to"),
        [
            (
                c["contact_id"],
                c.get("first_name"),
                c.get("last_name"),
                ", ".join(c.get("addresses") or []),
                c.get("sync_owner"),
                c.get("matched_to"),
            )
            for c in one["candidates"]
        ],
        empty="none.",
    )
    print_table(
        "5 comparison",
        ("field", "Microsoft 365", "IT Glue", "state"),
        [(row["field"], row["m365_value"], row["itglue_value"], row["state"]) for row in one["comparison"]],
        empty="nothing to compare.",
    )
    show_explained_changes(one["changes"])


def _step(name: str, *values: Any) -> None:
    text = Text(f"{name:<16}", style="dim")
    for value in values:
        if value not in ("", None):
            text.append_text(Text(" ", style="default")).append_text(cell(value))
    console().print(text)
