"""`o365-etl review`: the review website."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from o365_etl.cli.options import config_option


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0: any free one. Default: review.port, 8365.")
@click.option("--open/--no-open", "opens", default=False, help="Open the browser on it.")
@config_option
def review(port: int | None, opens: bool, config: Path | None) -> None:
    """The review website: integrations, matching, plan and sync log in the browser. Stops with Ctrl-C."""
    from o365_etl.pipeline.deciding import who_am_i
    from o365_etl.review.serving import Website

    def say(link: str) -> None:
        click.echo(f"The link is used up. For another browser: {link}")

    website = Website(config, who=who_am_i(), port=port, on_link=say)
    if website.link:
        click.echo(f"The review website is on {website.url}. Sign in, once, with\n  {website.link}")
    else:
        click.echo(f"The review website is on {website.url}, for the proxy in front of it.")
    click.echo("Stop with Ctrl-C.", err=True)
    if opens and website.link:
        webbrowser.open(website.link)
    website.serve()
