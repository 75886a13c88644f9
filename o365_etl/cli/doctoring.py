"""The command `doctor`: what is wrong, why it matters and the mend, the worst first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from o365_etl.cli.options import FAILED, SOME_TENANTS_FAILED, config_option, json_option
from o365_etl.config import load_settings

if TYPE_CHECKING:
    from rich.text import Text

    from o365_etl.pipeline.findings import Finding

_HEADS = {"machine": "This machine", "itglue": "IT Glue", "connection": "Connections", "tenant": "Tenants"}
_MARKS = {"error": ("✗", "red"), "warning": ("▲", "yellow"), "note": ("·", "dim"), "ok": ("✓", "green")}
# Tenants with the same trouble that are listed one by one.
_ONE_BY_ONE = 3


@click.command()
@click.option("--tenant", "tenants", multiple=True, help="Only this tenant: id, domain or exact name. Repeatable.")
@config_option
@json_option
@click.pass_context
def doctor(ctx: click.Context, tenants: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Check this machine, IT Glue, each connection and each tenant.

    Says what is wrong, and how to mend it: sign-in, consent, permissions missing or too many, concealed reports, access
    that is about to end, clock and disk. Reads nobody's data, writes nothing to Microsoft 365 or IT Glue. Ends with 1
    if this machine, IT Glue or a connection has an error, with 3 if only tenants have one.
    """
    from o365_etl.cli import output
    from o365_etl.pipeline.doctor import examine
    from o365_etl.pipeline.workspace import Workspace

    # Not opened: a folder that cannot be made is something to find out, and not the end.
    workspace = Workspace(load_settings(config))
    with output.progress():
        found = examine(workspace, tenants)
    if as_json:
        counts = {level: sum(finding.level == level for finding in found) for level in _MARKS}
        output.print_json({"counts": counts, "findings": [asdict(finding) for finding in found]})
    else:
        for kind, head in _HEADS.items():
            _show(head, [finding for finding in found if finding.kind == kind])
    failing = {finding.kind for finding in found if finding.level == "error"}
    if failing - {"tenant"}:
        ctx.exit(FAILED)
    if failing:
        ctx.exit(SOME_TENANTS_FAILED)


def _show(head: str, found: Sequence[Finding]) -> None:
    """One group: its troubles, then its notes, then what is in order."""
    from rich.text import Text

    from o365_etl.cli.output import console

    out = console()
    out.print(Text(head, style="bold"))
    for finding, names in _together(finding for finding in found if finding.level in ("error", "warning")):
        out.print(_line(finding, names), soft_wrap=True)
        out.print(Text(f"      → {_printable(finding.mend)}", style="dim"), soft_wrap=True)
    for finding, names in _together(finding for finding in found if finding.level == "note"):
        if finding.kind == "tenant":
            names = [f"{len(names):,} tenant{'s' if len(names) > 1 else ''}"]
        out.print(_line(finding, names, style="dim"), soft_wrap=True)
    healthy = [finding for finding in found if finding.level == "ok"]
    if healthy and healthy[0].kind == "tenant":
        out.print(_line(healthy[0], [f"{len(healthy):,} of {_subjects(found):,}"], what="in order"), soft_wrap=True)
    elif not found:
        out.print(Text("  – none to ask", style="dim"))
    else:
        for finding in healthy:
            out.print(_line(finding, [finding.name]), soft_wrap=True)


def _subjects(found: Iterable[Finding]) -> int:
    return len({finding.tenant_id or finding.name for finding in found})


def _together(found: Iterable[Finding]) -> list[tuple[Finding, list[str]]]:
    """Findings that say the same, with the names they are about; few of them stay apart."""
    same: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in found:
        # A note's mend is not shown, and a consent link differs from tenant to tenant.
        key = (finding.level, finding.what, "" if finding.level == "note" else finding.mend)
        same.setdefault(key, []).append(finding)
    shown: list[tuple[Finding, list[str]]] = []
    for group in same.values():
        if group[0].level == "note" or len(group) > _ONE_BY_ONE:
            shown.append((group[0], [finding.name for finding in group]))
        else:
            shown += [(finding, [finding.name]) for finding in group]
    return shown


def _line(finding: Finding, names: Sequence[str], *, what: str = "", style: str = "default") -> Text:
    from rich.text import Text

    from o365_etl.cli.output import cell

    mark, colour = _MARKS[finding.level]
    line = Text(f"  {mark} ", style=colour)
    more = len(names) - _ONE_BY_ONE
    named = ", ".join(names[:_ONE_BY_ONE]) + (f" and {more:,} more" if more > 0 else "")
    line.append_text(cell(named))
    line.append(": ", style=style)
    line.append(_printable(what or finding.what), style=style)
    return line


def _printable(text: str) -> str:
    """Servers' own words stand in it: no control character of theirs reaches the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
