"""`sync --queue` and `sync --cancel`: a sync is left to the daemon, or taken back."""

from __future__ import annotations

from collections.abc import Sequence

import click

from o365_etl.config import Settings


def queue(settings: Settings, tenants: Sequence[str], only_failed: bool, minutes: int, as_json: bool) -> None:
    """Ask for a sync in so many minutes, and say how to take it back."""
    from o365_etl.cli import output
    from o365_etl.cli.running import daemon_runs
    from o365_etl.pipeline import deciding, queueing
    from o365_etl.pipeline.workspace import Workspace

    workspace = Workspace.of(settings)
    for name in queueing.unknown_tenants(workspace, tenants):
        click.echo(f"No tenant that was read so far is known as {name!r}: the sync will look for it.", err=True)
    request = queueing.queue(
        workspace,
        trigger="queue",
        who=deciding.who_am_i(),
        tenants=tenants,
        only_failed=only_failed,
        minutes=minutes,
    )
    if as_json:
        output.print_json(request)
    else:
        click.echo(f"Queued as {request['request_id']}, due at {request['due_at']:%Y-%m-%d %H:%M:%S} UTC.")
        click.echo(f"Take it back with:  o365-etl sync --cancel {request['request_id']}")
    if not daemon_runs(settings):
        click.echo("No Dagster daemon is at work here: start `dagster dev` (docs/operate.md), it runs then.", err=True)


def cancel(settings: Settings, request_id: str, as_json: bool) -> None:
    """Take a request back."""
    from o365_etl.cli import output
    from o365_etl.pipeline import queueing
    from o365_etl.pipeline.workspace import Workspace

    workspace = Workspace.of(settings)
    queueing.cancel(workspace, request_id.strip())
    if as_json:
        output.print_json(workspace.state.requests.find(request_id.strip()))
    else:
        click.echo(f"The request {request_id.strip()} is taken back.")
