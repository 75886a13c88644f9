"""Commands that only ask: status, logs, explain, query. They never wait for a sync."""

from __future__ import annotations

from pathlib import Path

import click

from o365_etl.cli.options import config_option, json_option, workspace


@click.command()
@config_option
@json_option
def status(config: Path | None, as_json: bool) -> None:
    """Connections, the last syncs, and every tenant that needs a look."""
    from o365_etl.cli import answers, output
    from o365_etl.pipeline import reporting

    found = reporting.status(workspace(config))
    if as_json:
        output.print_json(found)
    else:
        answers.show_status(found)


@click.command()
@click.option("--tenant", help="Only this tenant (its id).")
@click.option("--run", "run_id", help="Only this sync (its run id).")
@click.option("--level", type=click.Choice(["info", "warning", "error"]), help="Only this level.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 100_000), help="The newest so many.")
@config_option
@json_option
def logs(
    tenant: str | None, run_id: str | None, level: str | None, limit: int, config: Path | None, as_json: bool
) -> None:
    """The sync log, newest last."""
    from o365_etl.cli import answers, output

    entries = workspace(config).state.entries(tenant_id=tenant, run_id=run_id, level=level, limit=limit)
    if as_json:
        output.print_json(entries)
    else:
        answers.show_log(entries)


@click.command()
@click.argument("user")
@config_option
@json_option
def explain(user: str, config: Path | None, as_json: bool) -> None:
    """One USER, every step: read? in scope? which rule, which rivals? what differs?

    USER is an object id, a user name or an e-mail address.
    """
    from o365_etl.cli import answers, output
    from o365_etl.pipeline import reporting

    found = reporting.explain(workspace(config), user)
    if as_json:
        output.print_json(found)
    else:
        for one in found:
            answers.show_explanation(one)


@click.command()
@click.argument("sql")
@config_option
@json_option
def query(sql: str, config: Path | None, as_json: bool) -> None:
    """Run read-only SQL on the published copy.

    Tables: docs/tables.md, or `o365-etl query "SHOW ALL TABLES"`.
    """
    from o365_etl.cli import output
    from o365_etl.pipeline import workspace as places

    rows = places.query(workspace(config), sql)
    if as_json:
        output.print_json(rows)
    else:
        heads = list(rows[0]) if rows else []
        output.print_table(f"{len(rows):,} rows", heads, [list(row.values()) for row in rows], empty="no rows.")
