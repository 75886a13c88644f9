"""Commands that connect and disconnect. What is missing is asked for on a terminal, elsewhere the option is named."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from o365_etl.cli.options import config_option, json_option
from o365_etl.config import CLOUDS, ITGLUE_REGIONS, find_config

if TYPE_CHECKING:
    from o365_etl.config_file import ConfigFile
    from o365_etl.pipeline.connecting import Given, Wanted

Options = dict[str, Any]

_PATH = click.Path(path_type=Path)
_CONNECT_OPTIONS: tuple[Callable[..., Any], ...] = (
    click.option("--name", help="What to call the connection; an existing one is updated."),
    click.option("--kind", type=click.Choice(["partner", "direct"]), help="All customers of a partner, or one tenant."),
    click.option("--tenant-id", help="The directory (tenant) id of the app registration, or a domain of the tenant."),
    click.option("--client-id", help="The application (client) id."),
    click.option("--secret-env", metavar="NAME", help="The client secret is in this environment variable."),
    click.option("--secret-file", type=_PATH, help="The client secret is in this file."),
    click.option("--secret-keyring", metavar="SERVICE", help="The client secret is in the system's keyring."),
    click.option("--certificate", type=_PATH, help="A PEM file with certificate and key, instead of a secret."),
    click.option("--secret-expires", type=click.DateTime(["%Y-%m-%d"]), help="The last day of the secret."),
    click.option("--cloud", type=click.Choice(list(CLOUDS)), help="A national cloud."),
    click.option("--login-url", help="Another sign-in address than the cloud's."),
    click.option("--graph-url", help="Another address of Microsoft Graph than the cloud's."),
    click.option("--itglue-region", type=click.Choice(list(ITGLUE_REGIONS)), help="Where the IT Glue account is."),
    click.option("--itglue-url", help="Another address of IT Glue than the region's."),
    click.option("--itglue-key-env", metavar="NAME", help="The IT Glue key is in this environment variable."),
    click.option("--itglue-key-file", type=_PATH, help="The IT Glue key is in this file."),
    click.option("--itglue-key-keyring", metavar="SERVICE", help="The IT Glue key is in the system's keyring."),
    click.option("--ca-bundle", type=_PATH, help="PEM file of a private certificate authority."),
    click.option("--data-dir", type=_PATH, help="Where all data goes; from now on, for all connections."),
    click.option(
        "--first-sync",
        type=click.Choice(["now", "later", "never"]),
        help="Queue a sync. Default: later (in an hour) for a new connection, else never.",
    ),
)


def _connect_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed((*_CONNECT_OPTIONS, config_option, json_option)):
        command = option(command)
    return command


@click.command()
@_connect_options
def connect(config: Path | None, as_json: bool, first_sync: Any, **given: Any) -> None:
    """Connect a partner tenant or one tenant: sign in, save, and queue the first sync.

    Asks for what is missing; nothing is saved before Microsoft and IT Glue have accepted it. A secret that is typed in
    is kept in a file of its own beside the configuration.
    """
    from dataclasses import asdict

    from o365_etl.cli import connected, output
    from o365_etl.config_file import ConfigFile
    from o365_etl.pipeline import connecting, deciding

    file = ConfigFile.open(find_config(config))
    wanted = _wanted(file, given)
    click.echo("Asking Microsoft …", err=True)
    done = connecting.connect(file, wanted, who=deciding.who_am_i(), first_sync=first_sync)
    if as_json:
        output.print_json({**asdict(done), "config": str(file.path)})
    else:
        connected.show_connected(done, file.path)


def _wanted(file: ConfigFile, given: Options) -> Wanted:
    """What the options say, completed by asking."""
    from o365_etl.pipeline.connecting import Wanted, has_connection

    folder = file.path.parent
    certificate, expires = given["certificate"], _future(given["secret_expires"])
    secret = _given("secret", given, folder)
    if secret and certificate:
        raise click.UsageError("give a secret or a certificate, not both")
    key = _given("itglue-key", given, folder)
    region = given["itglue_region"]
    kind, name = given["kind"], (given["name"] or "").strip()
    if not name:
        kind = kind or _ask("--kind", "Kind", default="partner", choices=("partner", "direct"))
        name = _ask("--name", "A name for the connection", default="partner" if kind == "partner" else None)
    is_new = not has_connection(file, name)
    if is_new:
        kind = kind or _ask("--kind", "Kind", default="partner", choices=("partner", "direct"))
        given["tenant_id"] = given["tenant_id"] or _ask("--tenant-id", "Directory (tenant) id, or a domain")
        given["client_id"] = given["client_id"] or _ask("--client-id", "Application (client) id")
    if not (secret or certificate) and (is_new or _on_terminal()):
        secret = _ask_secret("--secret-env, --secret-file, --secret-keyring or --certificate", "Client secret", is_new)
    if not (key or file.raw().get("itglue", {}).get("api_key")):
        if not (region or given["itglue_url"]) and _on_terminal():
            region = _ask("--itglue-region", "IT Glue region", default="us", choices=tuple(ITGLUE_REGIONS))
        key = _ask_secret("--itglue-key-env, --itglue-key-file or --itglue-key-keyring", "IT Glue API key", True)
    return Wanted(
        name=name,
        kind=kind,
        client_secret=secret,
        certificate=_from_folder(certificate, folder),
        secret_expires=expires,
        itglue_region=region,
        itglue_key=key,
        ca_bundle=_from_folder(given["ca_bundle"], folder),
        data_dir=_from_folder(given["data_dir"], folder),
        **{each: given[each] for each in ("tenant_id", "client_id", "cloud", "login_url", "graph_url", "itglue_url")},
    )


def _given(what: str, given: Options, folder: Path) -> Given | None:
    """The one reference that the options give for a secret."""
    from o365_etl.pipeline.connecting import Given

    prefix = what.replace("-", "_")
    found = {place: given[f"{prefix}_{place}"] for place in ("env", "file", "keyring") if given[f"{prefix}_{place}"]}
    if len(found) > 1:
        raise click.UsageError(f"give only one of {', '.join(f'--{what}-{place}' for place in found)}")
    if not found:
        return None
    ((place, value),) = found.items()
    return Given(reference={place: str(_from_folder(value, folder) if place == "file" else value)})


def _from_folder(path: Path | None, folder: Path) -> str | None:
    """A path as the configuration says it: from its own folder if it is below that, else absolute."""
    if path is None:
        return None
    absolute = path.expanduser().absolute()
    return absolute.relative_to(folder).as_posix() if absolute.is_relative_to(folder) else str(absolute)


def _future(last_day: datetime | None) -> Any:
    if last_day is not None and last_day.date() < datetime.now().date():
        raise click.UsageError(f"--secret-expires: {last_day:%Y-%m-%d} is over; create a new secret first")
    return last_day and last_day.date()


def _on_terminal() -> bool:
    return sys.stdin.isatty()


def _ask(option: str, label: str, *, default: str | None = None, choices: tuple[str, ...] = ()) -> str:
    if not _on_terminal():
        raise click.UsageError(f"{label.lower()} is missing: give {option}")
    kind = click.Choice(choices) if choices else str
    return str(click.prompt(label, default=default, type=kind, err=True)).strip()


def _ask_secret(options: str, label: str, needed: bool) -> Given | None:
    """A secret, typed unseen; None if it may stay as it is and nothing was typed."""
    from o365_etl.pipeline.connecting import Given

    if not _on_terminal():
        raise click.UsageError(f"{label[0].lower()}{label[1:]} is missing: give {options}")
    more = "" if needed else " (Enter: as it is)"
    typed = click.prompt(
        f"{label}{more}, not shown", hide_input=True, err=True, default=None if needed else "", show_default=False
    )
    return Given(typed=typed.strip()) if typed.strip() else None


@click.command()
@click.argument("name")
@click.option("--pause", is_flag=True, help="Do not read its tenants any more; everything stays.")
@click.option("--resume", is_flag=True, help="End the pause.")
@click.option("--remove", is_flag=True, help="Remove it from the configuration.")
@click.option("--delete-data", is_flag=True, help="With --remove: also delete what was read through it.")
@click.option("--yes", is_flag=True, help="With --remove: do not ask.")
@config_option
@json_option
def disconnect(
    name: str,
    pause: bool,
    resume: bool,
    remove: bool,
    delete_data: bool,
    yes: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Pause or remove the connection NAME. Decisions, links and everything in IT Glue stay."""
    from dataclasses import asdict

    from o365_etl.cli import connected, output
    from o365_etl.config_file import ConfigFile
    from o365_etl.pipeline import disconnecting

    if pause + resume + remove != 1:
        raise click.UsageError("give one of --pause, --resume, --remove")
    if delete_data and not remove:
        raise click.UsageError("--delete-data goes with --remove")
    file = ConfigFile.open(find_config(config))
    file.connection(name)
    if remove:
        _confirm(name, delete_data, yes)
        removed = disconnecting.remove(file, name, delete_data=delete_data)
        if as_json:
            output.print_json(asdict(removed))
        else:
            connected.show_removed(removed)
        return
    changed = disconnecting.set_paused(file, name, pause)
    state = "paused" if pause else "not paused"
    if as_json:
        output.print_json({"name": name, "paused": pause, "changed": changed})
    else:
        click.echo(f"{name} is {state}{'' if changed else ' already'}. Its data, decisions and links stay.")


def _confirm(name: str, delete_data: bool, yes: bool) -> None:
    if yes:
        return
    if not _on_terminal():
        raise click.UsageError("--remove asks first: give --yes")
    what = "and delete all data that was read through it" if delete_data else "but keep its data"
    click.confirm(f"Remove the connection {name} {what}?", abort=True, err=True)
