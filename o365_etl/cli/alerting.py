"""The command alerts: what is raised now, and whether messages reach their targets."""

from __future__ import annotations

from pathlib import Path

import click

from o365_etl.cli.options import FAILED, config_option, json_option, workspace


@click.command()
@click.option("--test", "is_test", is_flag=True, help="Send one test message to every target.")
@config_option
@json_option
@click.pass_context
def alerts(ctx: click.Context, is_test: bool, config: Path | None, as_json: bool) -> None:
    """What is raised now, since when, and whether it was sent.

    With --test: send one message to every target, and say how each took it.
    """
    from o365_etl.cli import output
    from o365_etl.pipeline import alerting

    if is_test:
        outcomes = alerting.send_test(workspace(config))
        if as_json:
            output.print_json(outcomes)
        else:
            rows = [(each["position"], each["scheme"], each["problem"] or "took the message") for each in outcomes]
            output.print_table("Test", ("target", "scheme", "outcome"), rows)
        ctx.exit(FAILED if any(each["problem"] for each in outcomes) else 0)
    found = alerting.standing(workspace(config))
    if as_json:
        output.print_json(found)
        return
    output.print_table(
        "Alerts",
        ("since", "how bad", "kind", "what", "sent"),
        [
            (each["since"], each["severity"], each["kind"], each["text"] or each["subject"], each["sent_at"])
            for each in found["alerts"]
        ],
        empty="nothing is raised.",
    )
    output.print_table(
        "Targets",
        ("target", "scheme", "problem"),
        [(each["position"], each["scheme"], each["problem"]) for each in found["targets"]],
        empty="none configured: alerts stand in the sync log alone.",
    )
