"""Looks at one connection: credential, authority, sign-in at home, its list of customers, and what is about to end.

What does not live here: the tenants (`doctor` asks each), and what the answers of the partner's tenant mean
(`findings`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time

from o365_etl.config import Connection
from o365_etl.errors import ForbiddenError, O365EtlError
from o365_etl.graph import rights
from o365_etl.graph.defects import internal_error
from o365_etl.graph.discovery import discover
from o365_etl.graph.endings import Ending, ask_endings, certificate_end
from o365_etl.graph.model import Discovery
from o365_etl.graph.probe import clock_offset
from o365_etl.graph.session import GraphSession
from o365_etl.graph.transport import Transport
from o365_etl.pipeline import findings
from o365_etl.pipeline.findings import SOON, Finding, Level

_NEW_SECRET = "Make a new one in the app registration (Certificates & secrets) and run `o365-etl connect` again."


@dataclass(slots=True)
class Survey:
    """What one connection answered. `listed` is None if its tenants could not be asked for at all; `offset` is by how
    many seconds its clock is ahead of ours, None if not told.
    """

    connection: Connection
    found: list[Finding] = field(default_factory=list)
    listed: Discovery | None = None
    endings: dict[str, Ending] = field(default_factory=dict)
    offset: float | None = None


def survey(
    session: GraphSession, transport: Transport, connection: Connection, clock: Callable[[], datetime]
) -> Survey:
    """Look at one connection, as far as it lets us. Never raises: what goes wrong is a finding, defects included."""
    looked = Survey(connection)
    try:
        _look(looked, session, transport, clock)
    except Exception as defect:  # it costs this connection, not the others
        looked.found.append(findings.of_error(connection, internal_error(defect)))
    return looked


def _look(looked: Survey, session: GraphSession, transport: Transport, clock: Callable[[], datetime]) -> None:
    connection = looked.connection
    if connection.paused:
        mend = f'Run `o365-etl disconnect "{connection.name}" --resume` to go on.'
        looked.found.append(_finding(connection, "note", "paused", "it is paused", "Its tenants are not read.", mend))
        return
    try:
        looked.offset = clock_offset(transport, connection, clock)
        client = session.client(connection, connection.tenant_id)
        looked.found += _certificate(connection, clock())
        token = client.sign_in.token()
    except O365EtlError as error:
        if connection.kind == "direct" and not findings.of_the_connection(error):
            looked.listed = discover(session, connection)  # the tenant will be asked again, and answer for itself
        else:
            looked.found.append(findings.of_error(connection, error))
        return
    looked.found += [*_secret(connection, clock()), *_cloud(connection)]
    looked.listed = discover(session, connection)
    if connection.kind == "partner":
        judged = list(findings.of_partner(connection, rights.granted(token)))
        looked.found += judged
        problem = looked.listed.problem
        missing = any(finding.code == "missing_permission" for finding in judged)
        # A list that is refused for want of a permission has been told by that permission's name.
        if problem is not None and not (isinstance(problem, ForbiddenError) and missing):
            looked.found.append(findings.of_listing(connection, problem))
        if rights.has_gdap(connection.cloud):
            with contextlib.suppress(O365EtlError):  # discovery asked the same, and told what is wrong
                looked.endings = ask_endings(client)
    if findings.is_healthy(looked.found):
        looked.found.append(_healthy(looked))


def _finding(connection: Connection, level: Level, code: str, what: str, why: str, mend: str) -> Finding:
    return Finding("connection", connection.name, level, code, what, why, mend)


def _healthy(looked: Survey) -> Finding:
    what = "signs in"
    if looked.connection.kind == "partner" and looked.listed is not None:
        what += f", and lists {len(looked.listed.targets):,} customers"
    return findings.all_well("connection", looked.connection.name, what)


def _certificate(connection: Connection, at: datetime) -> Iterator[Finding]:
    end = certificate_end(connection)
    if end is None or end >= at + SOON:
        return
    past = end < at
    yield _finding(
        connection,
        "error" if past else "warning",
        "certificate_expired" if past else "certificate_ends",
        f"its certificate {'ended' if past else 'ends'} on {end:%Y-%m-%d}",
        "With an expired certificate nobody signs in, and none of its tenants is read.",
        "Make a new one, upload it to the app registration, and run `o365-etl connect` again.",
    )


def _secret(connection: Connection, at: datetime) -> Iterator[Finding]:
    """The end of a client secret that works; one that does not is refused by Microsoft in its own words."""
    if connection.client_secret is None:
        return
    if connection.secret_expires is None:
        what = "when its client secret ends is not known"
        why = "Microsoft does not tell it, so nobody can be warned before sign-in stops."
        mend = "Write `secret_expires = YYYY-MM-DD` to the connection; the app registration shows the date."
        yield _finding(connection, "note", "secret_end_unknown", what, why, mend)
        return
    end = datetime.combine(connection.secret_expires, time(), UTC)
    if end < at:
        what = f"its client secret should have ended on {end:%Y-%m-%d}, but still works"
        why = "The date in the configuration is wrong, or it is on its last day: nobody will be warned."
        mend = f"Correct `secret_expires`. If the date is right: {_NEW_SECRET[0].lower()}{_NEW_SECRET[1:]}"
        yield _finding(connection, "warning", "secret_date_passed", what, why, mend)
    elif end < at + SOON:
        what = f"its client secret ends on {end:%Y-%m-%d}, in {(end - at).days} days"
        why = "After that nobody signs in, and none of its tenants is read."
        yield _finding(connection, "warning", "secret_ends", what, why, _NEW_SECRET)


def _cloud(connection: Connection) -> Iterator[Finding]:
    """What Microsoft does not offer in the connection's cloud."""
    lacking = []
    if not rights.has_usage_reports(connection.cloud):
        lacking.append(("usage reports", "mailbox sizes stay unknown"))
    if connection.kind == "partner" and not rights.has_gdap(connection.cloud):
        lacking.append(("GDAP relationships", "customers are listed by contracts alone"))
    if lacking:
        what = f"Microsoft's cloud {connection.cloud!r} has no {' and no '.join(name for name, _ in lacking)}"
        why = "; ".join(effect for _, effect in lacking)
        yield _finding(connection, "note", "not_in_cloud", what, f"{why[0].upper()}{why[1:]}.", "There is no mend.")
