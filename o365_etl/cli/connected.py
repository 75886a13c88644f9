"""How connecting and disconnecting look on a terminal."""

from __future__ import annotations

from pathlib import Path

import click

from o365_etl.cli.output import cell
from o365_etl.pipeline.connecting import Connected
from o365_etl.pipeline.disconnecting import Removed

# A partner may have hundreds; --json has them all.
MOST_TENANTS = 20


def show_connected(done: Connected, path: Path) -> None:
    """What was verified and saved, and what comes next."""
    say = click.echo
    say(
        f"{done.name}: signed in to tenant {done.tenant_id}"
        + (f" ({cell(done.tenant_name).plain})" if done.tenant_name else "")
    )
    if done.customers is not None:
        found = done.customers
        say(f"Customers: {found.total:,} ({found.by_contracts:,} by contracts, {found.by_gdap:,} by GDAP)")
        if found.ending:
            say(
                f"Access ends within 60 days for {found.ending:,} of them, for the first on {found.first_end:%Y-%m-%d}:"
                " renew the GDAP relationship in Partner Center."
            )
    for warning in done.warnings:
        say(f"Note: {warning}")
    say(f"{'Saved' if done.created else 'Updated'} in {path}")
    if done.first_sync_at is not None:
        say(f"Sync queued for {done.first_sync_at.astimezone():%Y-%m-%d %H:%M}; `o365-etl sync` starts one at once.")
    say("Next: `o365-etl doctor` says what each tenant still needs, `o365-etl select` what is to be synced.")


def show_removed(removed: Removed) -> None:
    """What is gone, what stays, and what only a person can remove."""
    say = click.echo
    say(f"{removed.name} is removed from the configuration.")
    if removed.deleted_tenants is None:
        say("Its data stays.")
    else:
        say(f"The data of {removed.deleted_tenants:,} tenants is deleted. Decisions, links and the sync log stay.")
    if removed.secret_file is not None:
        say(f"The secret in {removed.secret_file} is deleted.")
    say("What was written to IT Glue stays there. Still to be removed by hand:")
    say(f"  the app registration {removed.client_id}: {removed.registration_link or 'Entra, App registrations'}")
    say("  the enterprise application with its consent, in each tenant under Enterprise applications:")
    for consent in removed.consents[:MOST_TENANTS]:
        say(f"    {cell(consent.name or consent.tenant_id).plain}: {consent.link or 'Entra, Enterprise applications'}")
    if len(removed.consents) > MOST_TENANTS:
        say(f"    … and {len(removed.consents) - MOST_TENANTS:,} more; --json lists them all")
    say("  if nothing else uses it, the IT Glue key: Account, Settings, API Keys")
