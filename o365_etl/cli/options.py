"""What commands share: the configuration file, `--json`, and errors as one line with an exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from o365_etl.errors import ConfigError, O365EtlError

if TYPE_CHECKING:
    from o365_etl.pipeline.workspace import Workspace

FAILED, USAGE, SOME_TENANTS_FAILED, WAITS_FOR_APPROVAL = 1, 2, 3, 4

F = TypeVar("F", bound=Callable[..., Any])


class Group(click.Group):
    """A group whose commands end in one readable line and the right exit code, whatever was wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an `O365EtlError` becomes its line on standard error."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _say(error)
            ctx.exit(USAGE)
        except O365EtlError as error:
            _say(error)
            ctx.exit(FAILED)


def _say(error: O365EtlError) -> None:
    click.echo(f"o365-etl: {error.line}", err=True)


config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file. Default: $O365_ETL_CONFIG, else ./o365_etl.toml.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


def workspace(config: Path | None) -> Workspace:
    """The workspace of the configuration in force."""
    from o365_etl.pipeline.workspace import Workspace

    return Workspace.open(config)
