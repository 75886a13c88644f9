"""How things are said on a page: the templates, and words for figures, times and states.

Everything that goes into a page is escaped by the templates; nothing here or in them marks foreign text as safe.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_SPANS = ((86_400 * 365, "year"), (86_400 * 30, "month"), (86_400, "day"), (3_600, "hour"), (60, "minute"))


def environment() -> Environment:
    """The templates of the website, with the filters below."""
    made = Environment(
        loader=PackageLoader("o365_etl.review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": number,
        "size": size,
        "ago": ago,
        "moment": moment,
        "word": word,
        "segment": segment,
        "plural": plural,
        "share": share,
        "web": web,
    }
    return made


def number(value: float | None) -> str:
    """12,345; a dash for what is not known."""
    return "–" if value is None else f"{value:,.0f}"


def size(value: float | None) -> str:
    """12.3 GB; a dash for what is not known. In steps of 1024: a quota of 50 GB is 53,687,091,200 bytes."""
    if value is None:
        return "–"
    amount, unit = float(value), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:,.0f} {_UNITS[unit]}" if unit == 0 or amount >= 100 else f"{amount:,.1f} {_UNITS[unit]}"


def ago(value: datetime | date | None, now: datetime | None = None) -> str:
    """How long ago, or in how long, in one unit: `3 hours ago`, `in 12 days`; a dash for what is not known."""
    if value is None:
        return "–"
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    seconds = ((now or datetime.now(UTC)) - value).total_seconds()
    for span, unit in _SPANS:
        if abs(seconds) >= span:
            text = plural(int(abs(seconds) // span), unit)
            return f"{text} ago" if seconds > 0 else f"in {text}"
    return "just now" if seconds >= 0 else "in a moment"


def moment(value: datetime | date | None) -> str:
    """2026-11-24 14:05 UTC; a dash for what is not known."""
    if value is None:
        return "–"
    return f"{value.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if isinstance(value, datetime) else value.isoformat()


def word(value: str | None) -> str:
    """A word of a table as a person reads it: `only_m365` → `only in Microsoft 365`."""
    known = {
        "only_m365": "only in Microsoft 365",
        "only_itglue": "only in IT Glue",
        "not_consented": "no consent",
        "organization_unmatched": "organization unmatched",
        "tenant_name": "same name",
        "contact_email": "shared addresses",
        "domain": "shared domain",
        "full_name": "same full name",
        "username": "user name is an address",
        "alias": "shared address",
        "m365": "Microsoft 365",
        "primary_email": "primary e-mail",
        "email_addresses": "e-mail addresses",
        "address_1": "street",
        "link": "linked before",
        "resource": "room or equipment",
        "unlicensed": "none of the selected licenses",
        "concealed": "Microsoft hides names in its reports",
        "forbidden": "not permitted",
        "no_premium": "it needs Entra ID P1",
        "not_in_cloud": "Microsoft does not offer it in this cloud",
        "not_in_report": "Microsoft's report does not name it",
        "unsupported": "Microsoft's answer is of an unknown kind",
    }
    return "" if value is None else known.get(value, value.replace("_", " "))


def segment(value: object) -> str:
    """An id as a part of an address."""
    return quote(str(value), safe="")


def web(value: str | None) -> str | None:
    """An address of the web, to be linked to; None for anything else: a foreign address can hold a script."""
    return value if value and value.lower().startswith(("https://", "http://")) else None


def plural(count: int, noun: str, many: str | None = None) -> str:
    """`1 tenant`, `2 tenants`."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def share(part: float | None, whole: float | None) -> float:
    """Part of whole in percent, between 0 and 100; 0 where there is no whole."""
    return 0.0 if not whole or part is None else max(0.0, min(100.0, 100.0 * part / whole))
