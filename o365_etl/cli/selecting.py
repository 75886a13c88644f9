"""`o365-etl select`: what can be synced, what is chosen, and choosing something else. It never waits for a sync."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from o365_etl.cli.options import config_option, json_option, workspace

Row = Mapping[str, Any]

_LABELS = {
    "users": "users without a license (users = all)",
    "guests": "guests",
    "disabled": "users whose sign-in is blocked",
    "shared_mailboxes": "shared mailboxes",
    "licenses": "licenses",
}
_KEYS = {"skus": "products", "exclude_tenants": "excluded tenants", "tenant_aliases": "names of tenants"}


@click.command()
@click.option("--users", type=click.Choice(["licensed", "all"]), help="Only holders of chosen products, or everybody.")
@click.option("--sku", "skus", multiple=True, metavar="X", help="Only holders of X: part number, id or exact name.")
@click.option("--guests/--no-guests", default=None, help="Guests too.")
@click.option("--disabled/--no-disabled", default=None, help="Users whose sign-in is blocked too.")
@click.option("--shared-mailboxes/--no-shared-mailboxes", default=None, help="Shared mailboxes too.")
@click.option("--licenses/--no-licenses", default=None, help="Document all products, whatever --sku says.")
@click.option("--exclude-tenant", "exclude", multiple=True, metavar="T", help="Leave T out.")
@click.option("--include-tenant", "include", multiple=True, metavar="T", help="Do not leave T out any more.")
@click.option("--alias", "aliases", nargs=2, multiple=True, metavar="T NAME", help="Call T by NAME.")
@click.option("--no-alias", "no_alias", multiple=True, metavar="T", help="Call T by Microsoft's name again.")
@click.option("--connection", metavar="N", help="Only for the tenants of this connection.")
@click.option("--dry-run", is_flag=True, help="Show what a change means, save nothing.")
@config_option
@json_option
def select(connection: str | None, dry_run: bool, config: Path | None, as_json: bool, **wanted: Any) -> None:
    """What is synced: list it, or change it in the configuration.

    Without a change: products, boxes and tenants with counts from the last sync. `--sku recommended` goes back to all
    products for users that are neither free, viral nor trial. T is an id, a domain or an exact name.
    """
    from o365_etl.cli import output
    from o365_etl.pipeline.choices import choices
    from o365_etl.pipeline.selecting import Wanted, change

    place = workspace(config)
    if any(value not in (None, ()) for value in wanted.values()):
        done = change(place, Wanted(**wanted), connection, dry_run=dry_run)
        output.print_json(done) if as_json else _show_change(done)
        return
    if dry_run:
        raise click.UsageError("--dry-run needs a change")
    found = choices(place, connection)
    output.print_json(found) if as_json else _show_choices(found)


def _show_choices(found: Row) -> None:
    from rich.text import Text

    from o365_etl.cli.output import cell, console, print_table

    out = console()
    selection = found["selection"]
    if found["scope"] is None:
        out.print(Text("Nothing has been read yet: counts come with the first sync (`o365-etl sync`).\n"))
    else:
        out.print(Text("Counts are of the last read, ").append_text(cell(found["last_read"])).append(".\n"))
        print_table(
            "Products",
            ("chosen", "product", "part number", "users", "tenants", "kind", "recommended"),
            [
                (
                    _share(row["chosen_in"], row["tenants"]),
                    row["product_name"],
                    row["sku_part_number"],
                    row["users"],
                    row["tenants"],
                    row["kind"],
                    _share(row["recommended_in"], row["tenants"]),
                )
                for row in found["products"]
            ],
            empty="none.",
        )
        if selection["users"] == "all":
            out.print(Text("users = all: whoever holds none of these is in scope too."))
    for entry in found["not_held"]:
        out.print(Text("Chosen, but nobody holds it: ").append_text(cell(entry)))
    out.print()
    print_table(
        "Boxes",
        ("box", "ticked", "about"),
        [(_LABELS[row["box"]], "yes" if row["ticked"] else "no", _about(row)) for row in found["boxes"]],
    )
    out.print()
    print_table(
        "Excluded tenants",
        ("entry", "tenant"),
        [(row["entry"], _called(row)) for row in found["excluded"]],
        empty="none.",
    )
    print_table(
        "Names of tenants",
        ("tenant", "name", "instead of"),
        [(row["entry"], row["alias"], _called(row)) for row in found["aliases"]],
        empty="Microsoft's own.",
    )
    for name, keys in found["own"].items():
        own = "; ".join(f"{key} = {_said(key, value)}" for key, value in keys.items())
        out.print(Text(f"Connection {name} has its own: ", style="dim").append_text(cell(own)))


def _about(row: Row) -> str:
    if row["box"] == "licenses":
        return "" if row["tenants"] is None else f"{row['products']:,} products of {row['tenants']:,} tenants"
    if row["users"] is None:
        return ""
    verb = "it brings" if row["ticked"] else "it would bring"
    return f"{row['users']:,} users; {verb} {row['brings']:,} into scope"


def _share(some: int, of: int) -> str:
    return "no" if some == 0 else "yes" if some == of else f"in {some:,} of {of:,}"


def _called(row: Row) -> str:
    return row["microsoft_name"] or row["tenant_id"] or "not seen by a sync yet"


def _show_change(done: Row) -> None:
    from rich.text import Text

    from o365_etl.cli.output import cell, console

    out = console()
    where = f" of connection {done['connection']}" if done["connection"] else ""
    if not done["changes"]:
        out.print(Text(f"Nothing to change: the selection{where} is like that already."))
    for each in done["changes"]:
        line = Text(f"{_KEYS.get(each['key'], each['key'].replace('_', ' '))}{where}: ", style="bold")
        before, after = (_said(each["key"], each[side]) for side in ("before", "after"))
        out.print(line.append_text(cell(before)).append(" → ").append_text(cell(after)))
    for note in done["notes"]:
        out.print(Text("  note: ", style="yellow").append_text(cell(note)))
    if not done["changes"]:
        return
    for sentence in _means(done):
        out.print(Text(f"  {sentence}"))
    if done["saved"]:
        out.print(Text(f"Saved in {done['file']}. It counts from the next sync on."))
    else:
        out.print(Text("Nothing was saved (--dry-run)."))


def _means(done: Row) -> list[str]:
    """What a change means for users and contacts, in sentences."""
    keys = {each["key"]: each["after"] for each in done["changes"]}
    said = []
    effect = done["effect"]
    if effect is None:
        said.append("Nothing has been read yet: how many users that means shows after the first sync.")
    elif keys.keys() - {"licenses", "tenant_aliases"}:
        said.append(
            f"By the last read: {effect['come_in']:,} users come into scope, {effect['leave']:,} leave it;"
            f" {effect['in_scope_after']:,} are in scope then ({effect['in_scope_before']:,} now)."
        )
        stay = effect["with_contact"] - effect["to_mark"]
        if effect["leave"]:
            said.append(f"Of those who leave, {effect['with_contact']:,} have a contact. No contact is deleted.")
        if stay:
            said.append(f"{stay:,} contacts stay as they are and are not touched any more.")
        if effect["to_mark"]:
            said.append(
                f"{effect['to_mark']:,} contacts belong to users who are blocked, have no license, or are a shared"
                f" mailbox: after {done['grace_days']} days they are marked like those of users who left."
            )
    if keys.get("licenses") is False:
        said.append("What was documented of licenses stays in IT Glue and is not updated any more.")
    if "tenant_aliases" in keys:
        said.append("Matching compares the new name; what is matched already stays.")
    return said


def _said(key: str, value: Any) -> str:
    """A value of the selection as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{tenant}: {name}" for tenant, name in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(value) or ("every recommended one" if key == "skus" else "none")
    return str(value)
