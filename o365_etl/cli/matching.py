"""The matching screen on a terminal: `o365-etl match …`. A decision takes effect at once, without reading anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from o365_etl.cli.options import config_option, json_option, workspace

MATCH_STATUSES = ("unmatched", "suggested", "matched", "ignored")

why_option = click.option("--why", help="The reason, for whoever reads the decision later.")
later_option = click.option("--later", is_flag=True, help="Only record it; the next sync or rematch takes it up.")


def decision_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What every command that decides takes."""
    for option in (json_option, config_option, later_option, why_option):
        command = option(command)
    return command


@click.group()
def match() -> None:
    """Which organization each tenant belongs to, and which contact each user is.

    T and ORG are an id, a domain or an exact name.
    """


@match.command("list")
@click.option("--status", "wanted", type=click.Choice(MATCH_STATUSES), help="Only these.")
@config_option
@json_option
def match_list(wanted: str | None, config: Path | None, as_json: bool) -> None:
    """Tenants with their organization, or the best suggestion; what needs a decision first."""
    from o365_etl.cli import answers, output
    from o365_etl.pipeline import reporting

    found = reporting.matches(workspace(config), wanted)
    if as_json:
        output.print_json(found)
    else:
        answers.show_matches(found)


@match.command()
@click.argument("tenant", metavar="T")
@decision_options
def accept(tenant: str, why: str | None, later: bool, config: Path | None, as_json: bool) -> None:
    """Accept the best suggestion for T."""
    from o365_etl.pipeline import deciding

    _decided(config, later, as_json, lambda w: deciding.accept(w, tenant, who=deciding.who_am_i(), why=why))


def _choose(tenant: str, organization: str, why: str | None, later: bool, config: Path | None, as_json: bool) -> None:
    from o365_etl.pipeline import deciding

    who = deciding.who_am_i()
    _decided(config, later, as_json, lambda w: deciding.choose(w, tenant, organization, who=who, why=why))


@match.command("to")
@click.argument("tenant", metavar="T")
@click.argument("organization", metavar="ORG")
@decision_options
def match_to(tenant: str, organization: str, why: str | None, later: bool, config: Path | None, as_json: bool) -> None:
    """T belongs to ORG."""
    _choose(tenant, organization, why, later, config, as_json)


@match.command()
@click.argument("tenant", metavar="T")
@click.argument("organization", metavar="ORG")
@decision_options
def change(tenant: str, organization: str, why: str | None, later: bool, config: Path | None, as_json: bool) -> None:
    """T belongs to ORG, whatever was decided before."""
    _choose(tenant, organization, why, later, config, as_json)


@match.command()
@click.argument("tenant", metavar="T")
@decision_options
def ignore(tenant: str, why: str | None, later: bool, config: Path | None, as_json: bool) -> None:
    """Leave T alone: no organization, no contacts."""
    from o365_etl.pipeline import deciding

    _decided(config, later, as_json, lambda w: deciding.ignore(w, tenant, who=deciding.who_am_i(), why=why))


@match.command()
@click.argument("tenant", metavar="T")
@click.option("--force", is_flag=True, help="Although an organization that looks like it exists.")
@decision_options
def create(tenant: str, force: bool, why: str | None, later: bool, config: Path | None, as_json: bool) -> None:
    """Have an organization created for T; the plan shows it, the next apply does it."""
    from o365_etl.pipeline import deciding

    who = deciding.who_am_i()
    _decided(config, later, as_json, lambda w: deciding.create(w, tenant, who=who, why=why, force=force))


@match.command()
@click.argument("tenant", metavar="T")
@decision_options
def undo(tenant: str, why: str | None, later: bool, config: Path | None, as_json: bool) -> None:
    """Take back the last decision about T: what held before it holds again."""
    from o365_etl.pipeline import deciding

    _decided(config, later, as_json, lambda w: deciding.undo(w, tenant, who=deciding.who_am_i(), why=why))


@match.command()
@click.argument("tenant", metavar="T")
@config_option
@json_option
def users(tenant: str, config: Path | None, as_json: bool) -> None:
    """The users of T that only a person can match, with the contacts in question."""
    from o365_etl.cli import output, shown
    from o365_etl.pipeline import deciding

    found = deciding.users_to_decide(workspace(config), tenant)
    if as_json:
        output.print_json(found)
    else:
        shown.show_ambiguous(found)


@match.command()
@click.argument("tenant", metavar="T")
@click.argument("user")
@click.option("--contact", metavar="C", help="He is this contact: an id, an address or an exact name.")
@click.option("--create", "new", is_flag=True, help="He needs a contact of his own.")
@click.option("--ignore", "none", is_flag=True, help="He gets no contact.")
@click.option("--undo", "back", is_flag=True, help="Take back the last decision about him.")
@decision_options
def user(
    tenant: str,
    user: str,
    contact: str | None,
    new: bool,
    none: bool,
    back: bool,
    why: str | None,
    later: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Say which contact USER of T is. USER is an id, a user name, an address or an exact name."""
    from o365_etl.pipeline import deciding

    chosen = [name for name, is_it in (("to", contact), ("create", new), ("ignore", none), ("undo", back)) if is_it]
    if len(chosen) != 1:
        raise click.UsageError("give one of --contact C, --create, --ignore, --undo")
    _decided(
        config,
        later,
        as_json,
        lambda w: deciding.decide_user(
            w, tenant, user, action=chosen[0], contact=contact, who=deciding.who_am_i(), why=why
        ),
    )


@match.command()
@click.argument("tenant", metavar="T")
@config_option
@json_option
def audit(tenant: str, config: Path | None, as_json: bool) -> None:
    """Before the first apply of T: users who look like a contact, and contacts that Microsoft 365 does not explain."""
    from o365_etl.cli import output, shown
    from o365_etl.pipeline import deciding

    found = deciding.audit(workspace(config), tenant)
    if as_json:
        output.print_json(found)
    else:
        shown.show_audit(found)


def _decided(config: Path | None, later: bool, as_json: bool, decide: Callable[[Any], dict[str, Any]]) -> None:
    """Record a decision, let it take effect, and say what holds now."""
    from o365_etl.cli import output, shown
    from o365_etl.cli.running import run_rematch
    from o365_etl.errors import BusyError
    from o365_etl.pipeline import reporting

    place = workspace(config)
    said = decide(place)
    effect = "recorded; the next sync or `o365-etl rematch` takes it up"
    if not later:
        try:
            with output.progress():
                run_rematch(place.settings, wait_seconds=5)
            effect = "in effect"
        except BusyError as error:
            effect = f"recorded; {error.message}: the next sync or `o365-etl rematch` takes it up"
    holds = [row for row in reporting.matches(place) if row["tenant_id"] == said["tenant_id"]]
    if as_json:
        output.print_json({**said, "effect": effect, "holds": holds[0] if holds else None})
    else:
        shown.show_decision(said, effect, holds[0] if holds else None)
