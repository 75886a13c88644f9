"""How decisions, the plan, and what was written look on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from o365_etl.cli.output import cell, console, print_counts, print_table

Row = Mapping[str, Any]

# A plan of thousands of changes is not read to its end; --json has them all.
MOST_CHANGES = 200


def show_decision(said: Row, effect: str, holds: Row | None) -> None:
    """What was decided, whether it counts already, and what holds now."""
    about = said.get("user_principal_name") or said.get("tenant_name") or said["tenant_id"]
    done = f"taken back: {said['undone']}" if "undone" in said else f"decided: {said['action']}"
    console().print(Text.assemble(cell(about), f"  {done} ({effect})"))
    if holds is not None and "user_principal_name" not in said:
        line = Text(f"  now {holds['status']}", style="dim")
        if holds["organization_name"]:
            line.append(" with ").append_text(cell(holds["organization_name"]))
        console().print(line)


def show_ambiguous(users: Sequence[Row]) -> None:
    """Users that only a person can match, a line for each contact in question."""
    rows = []
    for user in users:
        why = {each["contact_id"]: ", ".join(each["why"]) for each in user["evidence"].get("resembles", ())}
        for number, contact in enumerate(user["candidates"] or [{}]):
            rows.append(
                (
                    user["user_principal_name"] if number == 0 else "",
                    user["rule"] or "resembles",
                    contact.get("contact_id"),
                    " ".join(filter(None, (contact.get("first_name"), contact.get("last_name")))),
                    ", ".join(contact.get("addresses") or ()),
                    why.get(contact.get("contact_id"), ""),
                )
            )
    print_table(
        "Users to decide", ("user", "by", "contact", "name", "addresses", "why"), rows, empty="none in this tenant."
    )


def show_audit(found: Row) -> None:
    """What the first apply would get wrong."""
    console().print(Text(f"{found['tenant_name']}: before the first apply", style="bold"))
    show_ambiguous(found["held"])
    print_table(
        "Contacts that nothing in Microsoft 365 explains",
        ("contact", "first name", "last name", "title", "type", "addresses", "owned by"),
        [
            (
                row["contact_id"],
                row["first_name"],
                row["last_name"],
                row["title"],
                row["contact_type"],
                ", ".join(row["addresses"] or ()),
                row["sync_owner"],
            )
            for row in found["unexplained"]
        ],
        empty="none.",
    )


def show_plan(found: Row, *, in_detail: bool) -> None:
    """The plan by tenant, and field by field if asked for."""
    print_table(
        "Plan",
        ("tenant", "state", "create", "update", "deactivate", "not ours", "hash"),
        [
            (
                row["tenant_name"] or row["tenant_id"],
                row["state"],
                row["create"],
                row["update"],
                row["deactivate"],
                row["skipped"],
                (row["plan_hash"] or "")[:12],
            )
            for row in found["tenants"]
        ],
        empty="nothing to write.",
    )
    waiting = [row for row in found["tenants"] if row["reason"]]
    if waiting:
        console().print(Text("Why a plan waits for a person", style="bold"))
    for row in waiting:
        line = Text("  ").append_text(cell(row["tenant_name"] or row["tenant_id"])).append(f": {row['reason']}", "dim")
        console().print(line, soft_wrap=True)
    if not in_detail:
        return
    rows = []
    for change in found["changes"][:MOST_CHANGES]:
        for number, (name, field) in enumerate(change["fields"].items()):
            head = (f"{change['action']} {change['resource']}", change["state"]) if number == 0 else ("", "")
            rows.append((*head, name, _value(field["old"]), _value(field["new"])))
    print_table("Changes", ("change", "state", "field", "now", "then"), rows)
    if len(found["changes"]) > MOST_CHANGES:
        console().print(Text(f"… and {len(found['changes']) - MOST_CHANGES:,} more; --json has them all.", style="dim"))


def _value(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def show_approved(rows: Sequence[Row]) -> None:
    """What was approved."""
    print_table(
        "Approved for one apply, as long as the plan is the same",
        ("tenant", "changes", "hash"),
        [(row["tenant_name"] or "the account", row["changes"], row["plan_hash"][:12]) for row in rows],
    )


def show_written(changes: Mapping[str, int], left: Row) -> None:
    """What became of the plan, and what still waits."""
    print_counts("Changes", dict(changes))
    if left["waiting"]:
        text = f"{left['waiting']:,} changes wait for approval"
        if left["blocked_tenants"]:
            text += f", {left['blocked_tenants']} tenants because of a brake"
        console().print(Text(f"{text}: `o365-etl plan` shows them, `o365-etl plan approve` lets them pass."))


def show_explained_changes(changes: Sequence[Row]) -> None:
    """What would be written about one user."""
    print_table(
        "6 would be written",
        ("change", "state", "fields", "why"),
        [
            (
                f"{change['action']} {change['resource']}",
                change["state"],
                ", ".join(change["fields"]),
                change["message"] or change["reason"],
            )
            for change in changes
        ],
        empty="nothing.",
    )
