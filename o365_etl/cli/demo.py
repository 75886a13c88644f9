"""The demo: a whole simulated MSP is synced, decided about, planned, approved and written, and synced again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from o365_etl.cli.options import FAILED
from o365_etl.cli.reviewing import review
from o365_etl.cli.syncing import folder_option, simulated, write_config
from o365_etl.config import Settings, load_settings
from o365_etl.config_overrides import CONFIG_VARIABLE

if TYPE_CHECKING:
    from o365_etl.pipeline.workspace import Workspace
    from o365_etl.simulator import Simulator


@click.command()
@folder_option
@click.option("--seed", default=1, show_default=True, help="Another seed, another MSP.")
@click.option("--dagster", "with_ui", is_flag=True, help="Open the Dagster UI on the demo's runs instead of syncing.")
@click.option("--review", "with_site", is_flag=True, help="Open the review website on them instead of syncing.")
@click.pass_context
def demo(ctx: click.Context, folder: Path, seed: int, with_ui: bool, with_site: bool) -> None:
    """Sync a whole simulated MSP, end to end, write it to the simulated IT Glue, and leave the tables to look at."""
    if with_ui and with_site:
        raise click.UsageError("--dagster and --review each start a simulator of their own: choose one of them.")
    with simulated(folder, seed, latency=0.0) as simulator:
        config = write_config(simulator, folder)
        if with_ui:
            _dagster_ui(config)
        elif with_site:
            click.echo("Microsoft 365 and IT Glue are simulated, from their beginning, for as long as this runs.")
            ctx.invoke(review, port=None, opens=False, config=config)
        else:
            _demo(config, simulator)


def _demo(config: Path, simulator: Simulator) -> None:
    from o365_etl.cli import answers, output
    from o365_etl.cli.running import run_sync
    from o365_etl.pipeline import reporting
    from o365_etl.pipeline.workspace import Workspace

    click.echo(f"Microsoft 365 and IT Glue are simulated on {simulator.graph_url} and {simulator.itglue_url}.")
    settings = load_settings(config)
    with output.progress():
        run_sync(settings, trigger="demo")
    workspace = Workspace.of(settings)
    answers.show_summary(reporting.summary(workspace))
    _decide_and_write(workspace, simulator)
    click.echo(_where_next(config, workspace))


def _decide_and_write(workspace: Workspace, simulator: Simulator) -> None:
    """The loop of the service desk lead, as the command line would do it."""
    from o365_etl.cli import output, shown
    from o365_etl.cli.running import run_apply, run_rematch, run_sync
    from o365_etl.pipeline import deciding, reporting

    settings = workspace.settings
    click.echo("\nDecide, as a person would")
    for command, decide in _decisions(workspace):
        click.echo(f"  o365-etl {command}")
        decide()
    with output.progress():
        run_rematch(settings, trigger="demo")
    click.echo("\nThe plan, approved and written:  o365-etl plan · o365-etl plan approve · o365-etl apply")
    shown.show_plan(reporting.plan(workspace), in_detail=False)
    deciding.approve_plan(workspace, (), who=deciding.who_am_i(), why="demo")
    before = _written(simulator)
    with output.progress():
        outcome = run_apply(settings, trigger="demo")
    shown.show_written(outcome.changes, reporting.waiting(workspace))
    counts = ", ".join(f"{number:,} {kind.replace('_', ' ')}" for kind, number in simulator.estate.counts().items())
    click.echo(f"{_written(simulator) - before:,} requests wrote it. IT Glue now holds {counts}.")
    with output.progress():
        run_sync(settings, trigger="demo")
    again = _written(simulator)
    deciding_left = reporting.waiting(workspace)["waiting"]
    with output.progress():
        run_apply(settings, trigger="demo")
    click.echo(
        f"Synced again: {deciding_left:,} changes left to write, {_written(simulator) - again:,} requests written"
        " (counted at the server)."
    )


def _decisions(workspace: Workspace) -> list[tuple[str, Callable[[], Any]]]:
    """What the service desk lead decides: each as the command that does it, and as the call behind it."""
    from o365_etl.pipeline import deciding, reporting
    from o365_etl.pipeline.workspace import query

    who = {"who": deciding.who_am_i(), "why": "demo"}
    suggested = reporting.matches(workspace, "suggested")
    unmatched = reporting.matches(workspace, "unmatched")
    decisions: list[tuple[str, Callable[[], Any]]] = []

    def add(command: str, call: Callable[..., Any], *arguments: str, **options: Any) -> None:
        decisions.append((command, lambda: call(workspace, *arguments, **options, **who)))

    all_names = Counter(row["tenant_name"] for row in reporting.matches(workspace))
    # A name that two tenants share is refused: those are called by their id.
    names = [row["tenant_name"] if all_names[row["tenant_name"]] == 1 else row["tenant_id"] for row in suggested]
    if len(names) >= 4:
        first, second, third, fourth = names[:4]
        add(f'match accept "{first}"', deciding.accept, first)
        other, right = _two_organizations(workspace, second)
        add(f'match to "{second}" {other}', deciding.choose, second, other)
        add(f'match change "{second}" {right}', deciding.choose, second, right)
        add(f'match ignore "{third}"', deciding.ignore, third)
        add(f'match accept "{fourth}"', deciding.accept, fourth)
        add(f'match undo "{fourth}"', deciding.undo, fourth)
    for row in unmatched[:1]:
        name = row["tenant_name"]
        add(f'match create "{name}" --force', deciding.create, name, force=True)
    for user in query(
        workspace,
        "SELECT tenant_id, user_principal_name, candidates FROM match.contacts"
        " WHERE status = 'ambiguous' AND candidates IS NOT NULL ORDER BY 2 LIMIT 1",
    ):
        contact = json.loads(user["candidates"])[0]
        add(
            f"match user {user['tenant_id']} {user['user_principal_name']} --contact {contact}",
            deciding.decide_user,
            user["tenant_id"],
            user["user_principal_name"],
            action="to",
            contact=contact,
        )
    return decisions


def _two_organizations(workspace: Workspace, tenant: str) -> tuple[str, str]:
    """The second best and the best suggestion for a tenant; twice the best where there is one only."""
    from o365_etl.pipeline.naming import find_tenant
    from o365_etl.pipeline.workspace import query

    rows = query(
        workspace,
        "SELECT organization_id FROM match.organization_suggestions WHERE tenant_id = ? ORDER BY rank LIMIT 2",
        [find_tenant(workspace, tenant)["tenant_id"]],
    )
    return rows[-1]["organization_id"], rows[0]["organization_id"]


def _written(simulator: Simulator) -> int:
    """Requests that wrote something to the simulated IT Glue so far."""
    return sum(1 for each in simulator.requests if each.service == "itglue" and each.method != "GET")


def _where_next(config: Path, workspace: Workspace) -> str:
    shown = os.path.relpath(config)
    return f"""
Where to look next
  o365-etl query --config {shown} "SELECT product_name, sum(active) AS active, sum(unused) AS unused
                                    FROM m365.licenses GROUP BY ALL ORDER BY unused DESC"
  o365-etl match list --config {shown} --status suggested
  o365-etl explain --config {shown} {_somebody(workspace)}
  o365-etl logs --config {shown}
  o365-etl status --config {shown}
  make review      the review website: decide matches, look at the plan, approve it, read the log
  make dagster     the Dagster UI with these very runs and their assets
  {os.path.relpath(workspace.published)}   the tables, in any DuckDB client; docs/tables.md explains them
Both start the simulator as well, so that a sync there finds something to read. Without it, to look only:
  o365-etl review --config {shown}
The program is in .venv/bin; the tenants that were not read are part of the demo."""


def _somebody(workspace: Workspace) -> str:
    """A user whom the demo could not match for certain: the most instructive one to explain."""
    from o365_etl.pipeline.workspace import query

    rows = query(
        workspace, "SELECT user_principal_name FROM match.contacts WHERE status = 'ambiguous' ORDER BY 1 LIMIT 1"
    )
    return rows[0]["user_principal_name"] if rows else "USER"


def _dagster_ui(config: Path) -> None:
    from o365_etl.cli.running import prepare_home

    settings: Settings = load_settings(config)
    home = prepare_home(settings)
    click.echo(f"The Dagster UI opens on http://127.0.0.1:3000 with the runs in {home}. Stop it with Ctrl-C.")
    environment = {**os.environ, "DAGSTER_HOME": str(home), CONFIG_VARIABLE: str(config.absolute())}
    command = [sys.executable, "-m", "dagster", "dev", "-m", "assets.definitions", "-h", "127.0.0.1", "-p", "3000"]
    # Whatever ends this command ends what it started: a terminal's Ctrl-C reaches both, a SIGTERM only this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(FAILED))
    with subprocess.Popen(command, env=environment) as process:
        try:
            process.wait()
        except KeyboardInterrupt:
            click.echo("stopping", err=True)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
