"""Tables, JSON and progress bars.

Names come from other people's directories: they are printed as text, never as markup.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from o365_etl.pipeline.progress import Step, listening


def console(*, err: bool = False) -> Console:
    """The terminal, without markup or highlighting of what others wrote."""
    return Console(
        stderr=err, markup=False, highlight=False, soft_wrap=not (sys.stderr if err else sys.stdout).isatty()
    )


def print_json(document: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(document, default=_plain, indent=2, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


def cell(value: Any) -> Text:
    """One value as a person reads it; control characters cannot reach the terminal."""
    if value is None:
        return Text("–", style="dim")
    if isinstance(value, datetime):
        return Text(value.astimezone().strftime("%Y-%m-%d %H:%M"))
    if isinstance(value, float):
        return Text(f"{value:.0f}")
    if isinstance(value, int) and not isinstance(value, bool):
        return Text(f"{value:,}")
    text = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in str(value))
    return Text(text if len(text) <= 160 else text[:157] + "…")


def print_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str = "Nothing.") -> None:
    """A table with a title, or one line if there are no rows."""
    out = console()
    if not rows:
        out.print(Text(f"{title}: {empty}"))
        return
    table = Table(
        title=Text(title), title_justify="left", title_style="bold", header_style="dim", box=None, pad_edge=False
    )
    for index, head in enumerate(heads):
        numeric = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(head, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(cell(value) for value in row))
    out.print(table)


def print_counts(title: str, counts: Mapping[str, int]) -> None:
    """A title and its counts on one line."""
    listed = " · ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
    text = Text(f"{title}: ", style="bold")
    text.append(listed, style="default not bold")
    console().print(text)


def _say_waiting(step: Step) -> None:
    if step.what.startswith("waiting"):
        click.echo(step.what, err=True)


@contextmanager
def progress() -> Iterator[None]:
    """Progress bars on standard error while the block runs; elsewhere only the word that it has to wait."""
    if not sys.stderr.isatty():
        with listening(_say_waiting):
            yield
        return
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console(err=True),
        transient=True,
    )
    tasks: dict[str, Any] = {}

    def show(step: Step) -> None:
        if step.what not in tasks:
            tasks[step.what] = bars.add_task(step.what, total=step.total)
        bars.update(tasks[step.what], completed=step.done, total=step.total)

    with bars, listening(show):
        yield
