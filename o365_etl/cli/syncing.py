"""Commands that do: sync, demo, simulate."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from o365_etl.cli.options import FAILED, SOME_TENANTS_FAILED, config_option, json_option
from o365_etl.config import CONFIG_VARIABLE, Settings, load_settings
from o365_etl.errors import LocalError

if TYPE_CHECKING:
    from o365_etl.simulator import Simulator

DEMO_CONFIG = "demo.toml"
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
@click.option(
    "--wait",
    "wait_seconds",
    default=600.0,
    show_default=True,
    type=click.FloatRange(0),
    help="Seconds to wait for a sync that is running.",
)
@config_option
@json_option
@click.pass_context
def sync(
    ctx: click.Context,
    tenants: tuple[str, ...],
    only_failed: bool,
    wait_seconds: float,
    config: Path | None,
    as_json: bool,
) -> None:
    """Sync now: read Microsoft 365 and IT Glue, match, compare, publish."""
    settings = load_settings(config)
    settings.check_secrets()
    from o365_etl.cli import answers, output
    from o365_etl.cli.running import run_sync
    from o365_etl.pipeline import reporting
    from o365_etl.pipeline.workspace import Workspace

    with output.progress():
        outcome = run_sync(settings, tenants=tenants, only_failed=only_failed, wait_seconds=wait_seconds)
    found = reporting.summary(Workspace.of(settings))
    if as_json:
        output.print_json({"run_id": outcome.run_id, "tenants_failed": outcome.tenants_failed, **found})
    else:
        answers.show_summary(found)
    if outcome.tenants_failed:
        ctx.exit(SOME_TENANTS_FAILED)


@click.command()
@folder_option
@click.option("--seed", default=1, show_default=True, help="Another seed, another MSP.")
@click.option("--dagster", "with_ui", is_flag=True, help="Open the Dagster UI on the demo's runs instead of syncing.")
def demo(folder: Path, seed: int, with_ui: bool) -> None:
    """Sync a whole simulated MSP, end to end, and leave the tables to look at."""
    with _simulator(folder, seed, latency=0.0) as simulator:
        config = _write_config(simulator, folder)
        if with_ui:
            _dagster_ui(config)
        else:
            _demo_sync(config, simulator)


def _demo_sync(config: Path, simulator: Simulator) -> None:
    from o365_etl.cli import answers, output
    from o365_etl.cli.running import run_sync
    from o365_etl.pipeline import reporting
    from o365_etl.pipeline.workspace import Workspace

    click.echo(f"Microsoft 365 and IT Glue are simulated on {simulator.graph_url} and {simulator.itglue_url}.")
    settings = load_settings(config)
    with output.progress():
        run_sync(settings, trigger="demo")
    answers.show_summary(reporting.summary(Workspace.of(settings)))
    shown = os.path.relpath(config)
    click.echo(
        f"""
Where to look next
  o365-etl query --config {shown} "SELECT product_name, sum(active) AS active, sum(unused) AS unused
                                    FROM m365.licenses GROUP BY ALL ORDER BY unused DESC"
  o365-etl match list --config {shown} --status suggested
  o365-etl explain --config {shown} {_somebody(settings)}
  o365-etl status --config {shown}
  make dagster     the Dagster UI with this very run and its assets
  {os.path.relpath(settings.data_dir / "o365.duckdb")}   the tables, in any DuckDB client; docs/tables.md explains them
The program is in .venv/bin; the tenants that were not read are part of the demo."""
    )


def _somebody(settings: Settings) -> str:
    """A user whom the demo could not match for certain: the most instructive one to explain."""
    from o365_etl.pipeline import reporting
    from o365_etl.pipeline.workspace import Workspace

    rows = reporting.query(
        Workspace.of(settings),
        "SELECT user_principal_name FROM match.contacts WHERE status = 'ambiguous' ORDER BY 1 LIMIT 1",
    )
    return rows[0]["user_principal_name"] if rows else "USER"


def _dagster_ui(config: Path) -> None:
    from o365_etl.cli.running import prepare_home

    settings = load_settings(config)
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


@click.command()
@folder_option
@click.option("--seed", default=1, show_default=True, help="Another seed, another MSP.")
@click.option("--latency", default=0.0, show_default=True, type=click.FloatRange(0), help="Seconds before each answer.")
def simulate(folder: Path, seed: int, latency: float) -> None:
    """Only the simulator, with the configuration to use against it; stops with Ctrl-C."""
    with _simulator(folder, seed, latency) as simulator:
        config = _write_config(simulator, folder)
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
def _simulator(folder: Path, seed: int, latency: float) -> Iterator[Simulator]:
    from o365_etl.simulator import Estate, Simulator

    home = folder / "simulator"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LocalError(f"the folder {home} cannot be made ({error.strerror})") from error
    with Simulator(Estate.demo(seed=seed), folder=home, latency=latency) as simulator:
        yield simulator


def _write_config(simulator: Simulator, folder: Path) -> Path:
    """The configuration against this simulator, in the folder whose tables it fills."""
    config = folder / DEMO_CONFIG
    config.write_text(simulator.settings_toml(data_dir="."), encoding="utf-8")
    return config
