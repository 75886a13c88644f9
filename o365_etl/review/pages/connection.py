"""Sync settings of one connection: what of its tenants is synced, a preview of a change, and its pause.

What does not live here: what a change means (`pipeline.selecting`), and the connection among the others (`start`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from o365_etl.config import Connection, Selection
from o365_etl.config_file import ConfigFile
from o365_etl.errors import ConfigError, ConflictError, NotFoundError
from o365_etl.pipeline import disconnecting, overviewing
from o365_etl.pipeline.selecting import RECOMMENDED, Wanted, change
from o365_etl.pipeline.workspace import Workspace
from o365_etl.review.answering import back, desk_of, page, workspace_of
from o365_etl.review.forms import Form
from o365_etl.review.rendering import segment

Row = dict[str, Any]
_FLAGS = ("guests", "disabled", "shared_mailboxes", "licenses")
_SAID = {"yes": True, "no": False}
_LONGEST = 5_000  # characters of names to exclude


def show(request: Request) -> Response:
    """The settings; with `preview` in the address also what the change in the form would mean. Nothing is saved."""
    workspace = workspace_of(request)
    connection = _connection(request, workspace)
    found = overviewing.chosen(workspace, connection.name)
    locked = overviewing.overridden(workspace, connection)
    before = workspace.settings.selection_for(connection.name)
    form = _filled(before, found)
    preview, problem = None, None
    if "preview" in request.query_params:
        form = _sent(request)
        try:
            wanted = _wanted(form, before, found, {each.key for each in locked if each.is_own})
            done = change(workspace, wanted, connection.name, dry_run=True)
            preview = {"done": done, "fields": _fields(wanted, before), "names": _names(workspace, done)}
        except ConfigError as error:
            problem = error
    return page(
        request,
        "connection.html",
        {
            "connection": connection,
            "found": found,
            "not_held": _not_held(before, found),
            "form": form,
            "own": sorted(found["own"].get(connection.name, {})),
            "overridden": locked,
            "locked": {each.key for each in locked if each.is_own},
            "preview": preview,
            "problem": problem,
            "is_saved": "saved" in request.query_params,
        },
    )


def save(request: Request, form: Form) -> Response:
    """Save what was previewed. Raises `ConflictError` if the settings are not those of the preview any more."""
    workspace = workspace_of(request)
    connection = _connection(request, workspace)
    where = _path(connection)
    if form.get("seen") != _mark(workspace.settings.selection_for(connection.name)):
        raise ConflictError(
            "these settings were changed by somebody else since the preview; nothing was saved",
            remedy="Go back to the sync settings, look at them, and repeat your change.",
        )
    users = form.get("users")
    done = change(
        workspace,
        Wanted(
            users="all" if users == "all" else "licensed" if users == "licensed" else None,
            skus=tuple(form.all("sku")),
            exclude=tuple(form.all("exclude")),
            include=tuple(form.all("include")),
            guests=_SAID.get(form.get("guests")),
            disabled=_SAID.get(form.get("disabled")),
            shared_mailboxes=_SAID.get(form.get("shared_mailboxes")),
            licenses=_SAID.get(form.get("licenses")),
        ),
        connection.name,
    )
    if not done["saved"]:
        return back(request, form, where, "Nothing was to be changed.", "told")
    return back(request, form, f"{where}?saved=1", "The sync settings were saved. They count from the next sync on.")


def pause(request: Request, form: Form) -> Response:
    """Pause a connection, or resume it."""
    connection = _connection(request, workspace_of(request))
    wanted = form.get("paused") == "yes"
    where = _path(connection)
    disconnecting.set_paused(ConfigFile.open(desk_of(request).config), connection.name, wanted)
    if _connection(request, workspace_of(request)).paused != wanted:
        text = f"That is saved, but the environment says otherwise for {connection.name}: unset its variable PAUSED."
        return back(request, form, where, text, "wrong")
    text = f"{connection.name} is paused: its tenants are not read." if wanted else f"{connection.name} is resumed."
    return back(request, form, where, text)


def _connection(request: Request, workspace: Workspace) -> Connection:
    name = request.path_params["name"]
    for connection in workspace.settings.connections:
        if connection.name == name:
            return connection
    raise NotFoundError(f"there is no connection named {name!r}", remedy="Choose one on the page Integrations.")


def _path(connection: Connection) -> str:
    return f"/connections/{segment(connection.name)}"


def _mark(selection: Selection) -> str:
    """What tells one state of the settings from another."""
    return hashlib.sha256(repr(selection).encode()).hexdigest()[:24]


def _chosen(before: Selection, found: Mapping[str, Any]) -> set[str]:
    """What is ticked: the products that count now, and the entries that fit none of those that were read."""
    return {row["sku_id"] for row in found["products"] if row["chosen_in"]} | set(_not_held(before, found))


def _not_held(before: Selection, found: Mapping[str, Any]) -> Sequence[str]:
    is_read = found["scope"] is not None
    entries: Sequence[str] = found["not_held"] if is_read else before.skus
    return entries


def _filled(before: Selection, found: Mapping[str, Any]) -> Row:
    """The form as it stands before anybody changed it."""
    return {
        "users": before.users,
        **{flag: getattr(before, flag) for flag in _FLAGS},
        "products": "chosen" if before.skus else RECOMMENDED,
        "skus": _chosen(before, found),
        "include": set(),
        "exclude": "",
    }


def _sent(request: Request) -> Row:
    """The form as it was sent; wrong values count as the usual ones."""
    asked = request.query_params
    return {
        "users": "all" if asked.get("users") == "all" else "licensed",
        **{flag: flag in asked for flag in _FLAGS},
        "products": "chosen" if asked.get("products") == "chosen" else RECOMMENDED,
        "skus": set(asked.getlist("sku")),
        "include": set(asked.getlist("include")),
        "exclude": asked.get("exclude", "")[:_LONGEST],
    }


def _wanted(form: Row, before: Selection, found: Mapping[str, Any], locked: set[str]) -> Wanted:
    """What the form changes of the settings in force; what it leaves as it is is not named, and so not written.

    Raises `ConfigError` if products are to be chosen and none is.
    """
    values: Row = {}
    for key in ("users", *_FLAGS):
        if key not in locked and form[key] != getattr(before, key):
            values[key] = form[key]
    if "skus" not in locked:
        values["skus"] = _skus(form, before, found)
    if "exclude_tenants" not in locked:
        values["include"] = tuple(sorted(form["include"]))
        values["exclude"] = tuple(line.strip() for line in form["exclude"].splitlines() if line.strip())
    return Wanted(**values)


def _skus(form: Row, before: Selection, found: Mapping[str, Any]) -> Sequence[str]:
    if form["products"] == RECOMMENDED:
        return (RECOMMENDED,) if before.skus else ()
    if not form["skus"]:
        raise ConfigError("no product is chosen", remedy="Choose at least one, or every recommended product.")
    as_it_is = _chosen(before, found)
    return () if before.skus and form["skus"] == as_it_is else tuple(sorted(form["skus"]))


def _names(workspace: Workspace, done: Mapping[str, Any]) -> Mapping[str, str]:
    """What the tenants are called that a change leaves out or takes in again."""
    excluded = [each for each in done["changes"] if each["key"] == "exclude_tenants"]
    return overviewing.names_of(workspace, {entry for each in excluded for entry in (*each["before"], *each["after"])})


def _fields(wanted: Wanted, before: Selection) -> list[tuple[str, str]]:
    """A change as hidden fields: only what differs, so that saving does nothing that was not previewed."""
    fields = [("seen", _mark(before))]
    if wanted.users is not None:
        fields.append(("users", wanted.users))
    flags = {flag: getattr(wanted, flag) for flag in _FLAGS}
    fields += [(flag, "yes" if value else "no") for flag, value in flags.items() if value is not None]
    for name, values in (("sku", wanted.skus), ("exclude", wanted.exclude), ("include", wanted.include)):
        fields += [(name, value) for value in values]
    return fields


PAGES: Mapping[str, Callable[[Request], Response]] = {"/connections/{name}": show}
FORMS: Mapping[str, Callable[[Request, Form], Response]] = {
    "/connections/{name}": save,
    "/connections/{name}/pause": pause,
}
