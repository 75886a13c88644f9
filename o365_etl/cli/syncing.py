"""Commands that do: sync, simulate."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from o365_etl.cli import queueing
from o365_etl.cli.options import SOME_TENANTS_FAILED, WAITS_FOR_APPROVAL, config_option, json_option
from o365_etl.config import load_settings
from o365_etl.errors import LocalError

if TYPE_CHECKING:
    from o365_etl.simulator import Simulator

DEMO_CONFIG = "demo.toml"
# A year of minutes: what is further away belongs into a calendar.
LONGEST_DELAY = 60 * 24 * 366
folder_option = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data"),
    show_default=True,
    help="Where everything goes.",
)


@click.command()
@click.option("--tenant", "tenants", multiple=True, help="Only this tenant: id, domain or exact name. Repeatable.")
@click.option("--failed", "only_failed", is_flag=True, help="Only tenants whose last read was not complete.")
@click.option("--preview", is_flag=True, help="Plan, but write nothing, whatever itglue.mode says.")
@click.option("--full", is_flag=True, help="Read everything, also where a read of what changed would do.")
@click.option(
    "--wait",
    "wait_seconds",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds to wait for a sync that is running.",
)
@click.option("--queue", "queued", is_flag=True, help="Leave it to the daemon, and return at once.")
@click.option(
    "--in",
    "minutes",
    type=click.IntRange(0, LONGEST_DELAY),
    metavar="MINUTES",
    help="With --queue: not before so many minutes have passed.",
)
@click.option("--cancel", "request_id", metavar="REQUEST", help="Take back a sync that is queued, by its id.")
@config_option
@json_option
@click.pass_context
def sync(
    ctx: click.Context,
    tenants: tuple[str, ...],
    only_failed: bool,
    preview: bool,
    full: bool,
    wait_seconds: float,
    queued: bool,
    minutes: int | None,
    request_id: str | None,
    config: Path | None,
    as_json: bool,
) -> None:
    """Sync now: read Microsoft 365 and IT Glue, match, compare, plan; in mode apply also write."""
    _check_together(ctx)
    settings = load_settings(config)
    if request_id is not None:
        queueing.cancel(settings, request_id, as_json)
        return
    settings.check_secrets()
    if queued:
        queueing.queue(settings, tenants, only_failed, minutes or 0, as_json)
        return
    from o365_etl.cli import answers, output
    from o365_etl.cli.running import run_sync
    from o365_etl.pipeline import reporting
    from o365_etl.pipeline.workspace import Workspace

    with output.progress():
        outcome = run_sync(
            settings,
            tenants=tenants,
            only_failed=only_failed,
            preview=preview,
            full=full,
            wait_seconds=wait_seconds,
        )
    found = reporting.summary(Workspace.of(settings))
    if as_json:
        own = {"run_id": outcome.run_id, "status": outcome.status, "tenants_failed": outcome.tenants_failed}
        output.print_json({**own, "written": outcome.changes, **found})
    else:
        answers.show_summary(found)
        if outcome.changes:
            output.print_counts("Written to IT Glue", outcome.changes)
    if outcome.status == "blocked" and not preview:
        ctx.exit(WAITS_FOR_APPROVAL)
    if outcome.tenants_failed:
        ctx.exit(SOME_TENANTS_FAILED)


def _check_together(ctx: click.Context) -> None:
    given = {name for name in ctx.params if ctx.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT}
    if "request_id" in given and given - {"request_id", "config", "as_json"}:
        raise click.UsageError("--cancel takes back one request: it goes with no other option.")
    if "minutes" in given and "queued" not in given:
        raise click.UsageError("--in is for a queued sync: add --queue.")
    if {"queued", "preview"} <= given:
        raise click.UsageError("--preview is for a sync in the foreground: leave out --queue.")
    if {"queued", "full"} <= given:
        raise click.UsageError("--full is for a sync in the foreground: leave out --queue.")
    if {"queued", "wait_seconds"} <= given:
        raise click.UsageError("--wait is for a sync in the foreground: leave out --queue.")


@click.command()
@folder_option
@click.option("--seed", default=1, show_default=True, help="Another seed, another MSP.")
@click.option("--latency", default=0.0, show_default=True, type=click.FloatRange(0), help="Seconds before each answer.")
def simulate(folder: Path, seed: int, latency: float) -> None:
    """Only the simulator, with the configuration to use against it; stops with Ctrl-C."""
    with simulated(folder, seed, latency) as simulator:
        config = write_config(simulator, folder)
        click.echo(f"Microsoft sign-in and Graph: {simulator.graph_url}\nIT Glue: {simulator.itglue_url}")
        click.echo(f"Configuration: {config}\nTry, in another terminal:  o365-etl sync --config {config}")
        click.echo("Stop with Ctrl-C.", err=True)
        _until_stopped()


def _until_stopped() -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    try:
        stopped.wait()
    except KeyboardInterrupt:
        click.echo("stopped", err=True)


@contextmanager
def simulated(folder: Path, seed: int, latency: float) -> Iterator[Simulator]:
    """A running simulator of the demo's estate, with what it keeps in the folder."""
    from o365_etl.simulator import Estate, Simulator

    home = folder / "simulator"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"the folder {home} cannot be made ({error.strerror})") from error
    with Simulator(Estate.demo(seed=seed), folder=home, latency=latency) as simulator:
        yield simulator


def write_config(simulator: Simulator, folder: Path) -> Path:
    """The configuration against this simulator, in the folder whose tables it fills."""
    config = folder / DEMO_CONFIG
    config.write_text(simulator.settings_toml(data_dir="."), encoding="utf-8")
    return config
