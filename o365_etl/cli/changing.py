"""The plan on a terminal: plan, plan approve, apply, rematch."""

from __future__ import annotations

from pathlib import Path

import click

from o365_etl.cli.options import SOME_TENANTS_FAILED, WAITS_FOR_APPROVAL, config_option, json_option, workspace

wait_option = click.option(
    "--wait",
    "wait_seconds",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds to wait for a sync that is running.",
)


@click.group(invoke_without_command=True)
@click.option("--tenant", "tenants", multiple=True, metavar="T", help="Only this tenant, field by field. Repeatable.")
@config_option
@json_option
@click.pass_context
def plan(ctx: click.Context, tenants: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """What would change in IT Glue: the plan of the last sync."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = {"tenants": tenants, "config": config, "as_json": as_json}
        return
    from o365_etl.cli import output, shown
    from o365_etl.pipeline import reporting

    found = reporting.plan(workspace(config), tenants)
    if as_json:
        output.print_json(found)
    else:
        shown.show_plan(found, in_detail=bool(tenants))


@plan.command()
@click.option("--tenant", "tenants", multiple=True, metavar="T", help="Only this tenant's part. Repeatable.")
@click.option("--why", help="The reason, for whoever reads it later.")
@config_option
@json_option
@click.pass_context
def approve(ctx: click.Context, tenants: tuple[str, ...], why: str | None, config: Path | None, as_json: bool) -> None:
    """Approve exactly this plan, by its hash; good for one apply, and void if the plan changes."""
    from o365_etl.cli import output, shown
    from o365_etl.pipeline import deciding

    above = ctx.obj or {}
    place = workspace(config or above.get("config"))
    found = deciding.approve_plan(place, tenants or above.get("tenants") or (), who=deciding.who_am_i(), why=why)
    if as_json or above.get("as_json"):
        output.print_json(found)
    else:
        shown.show_approved(found)


@click.command()
@wait_option
@config_option
@json_option
@click.pass_context
def apply(ctx: click.Context, wait_seconds: float, config: Path | None, as_json: bool) -> None:
    """Write the approved part of the plan to IT Glue. Ctrl-C stops it cleanly."""
    from o365_etl.cli import output, shown
    from o365_etl.cli.running import run_apply
    from o365_etl.config import load_settings
    from o365_etl.pipeline import reporting
    from o365_etl.pipeline.workspace import Workspace

    settings = load_settings(config)
    settings.check_secrets()
    with output.progress():
        outcome = run_apply(settings, wait_seconds=wait_seconds)
    left = reporting.waiting(Workspace.of(settings))
    if as_json:
        output.print_json({"run_id": outcome.run_id, "changes": outcome.changes, **left})
    else:
        shown.show_written(outcome.changes, left)
    if left["blocked_tenants"] or (left["waiting"] and not outcome.changes):
        ctx.exit(WAITS_FOR_APPROVAL)
    if outcome.changes.get("failed") or outcome.changes.get("open"):
        ctx.exit(SOME_TENANTS_FAILED)


@click.command()
@wait_option
@config_option
@json_option
def rematch(wait_seconds: float, config: Path | None, as_json: bool) -> None:
    """Match, compare and plan again with what was read last: takes up decisions."""
    from o365_etl.cli import answers, output
    from o365_etl.cli.running import run_rematch
    from o365_etl.config import load_settings
    from o365_etl.pipeline import reporting
    from o365_etl.pipeline.workspace import Workspace

    settings = load_settings(config)
    with output.progress():
        outcome = run_rematch(settings, trigger="rematch", wait_seconds=wait_seconds)
    found = reporting.summary(Workspace.of(settings))
    if as_json:
        output.print_json({"run_id": outcome.run_id, **found})
    else:
        answers.show_conclusions(found)
