"""One tenant as it is landed, changed by hand from load to load, and an installation that loads it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from o365_etl.config import load_settings
from o365_etl.graph.model import TenantResult, TenantTarget
from o365_etl.pipeline.loading import load
from o365_etl.pipeline.workspace import Workspace
from o365_etl.receipts import Receipt
from o365_etl.store.warehouse import Db
from o365_etl.tables import TABLES
from o365_etl.transform.catalogue import shipped

TENANT = "aaaaaaaa-0000-4000-8000-000000000001"
E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"
FLOW_FREE = "f30db892-07e9-47e9-837c-80727f46fd3d"
EXCHANGE = "9aaf7827-d63c-4b61-89c3-182f06f82e5c"
LOADED = (
    *("m365.tenants", "m365.domains", "m365.licenses", "m365.users", "m365.user_addresses"),
    *("m365.license_assignments", "m365.mailboxes"),
)
CONFIG = """
[itglue]
api_key = { env = "NOT_ASKED_FOR" }
[[connections]]
name = "main"
kind = "partner"
tenant_id = "bbbbbbbb-0000-4000-8000-000000000001"
client_id = "cccccccc-0000-4000-8000-000000000001"
client_secret = { env = "NOT_ASKED_FOR" }
"""
COLUMNS = (
    *("Report Refresh Date", "User Principal Name", "Display Name", "Is Deleted", "Last Activity Date"),
    *("Item Count", "Storage Used (Byte)", "Prohibit Send Quota (Byte)", "Has Archive"),
)


class Landed:
    """What the tenant answers next: change it, then `land`."""

    def __init__(self, users: int = 12) -> None:
        self.users: list[Any] = [person(number) for number in range(users)]
        self.changed: list[dict[str, Any]] = []
        self.sign_ins: dict[str, str] = {self.users[1]["id"]: "2026-01-02T03:04:05Z"}
        self.types: dict[str, dict[str, Any]] = {self.users[2]["id"]: {"type": "shared", "source": "report"}}
        self.report: list[list[str]] = [report_row(name(number)) for number in (0, 1, 2, 3, 99)]
        self.sku: dict[str, Any] = {
            "skuId": E3,
            "skuPartNumber": "ENTERPRISEPACK",
            "consumedUnits": 5,
            "prepaidUnits": {"enabled": 10},
            "servicePlans": [{"servicePlanId": EXCHANGE, "provisioningStatus": "Success"}],
        }
        self.domains = ["x.example"]
        self.reason: str | None = None
        self.mark = ""
        self._reads = 0

    def land(self, workspace: Workspace) -> TenantResult:
        """Land it as one read."""
        self._reads += 1
        half = len(self.users) // 2
        # In two pages, as a larger tenant's.
        pages = [page(self.users[:half], self.mark), page(self.users[half:])]
        sign_ins = [{"id": id_, "signInActivity": {"lastSignInDateTime": at}} for id_, at in self.sign_ins.items()]
        receipts = [
            self._stream(workspace, "tenants", organization=[page([{"id": TENANT, "displayName": "Contoso"}])]),
            self._stream(workspace, "domains", domains=[page([{"id": domain} for domain in self.domains])]),
            self._stream(workspace, "licenses", subscribed_skus=[page([self.sku])]),
            self._stream(workspace, "users", users=pages),
            self._stream(workspace, "sign_ins", sign_ins=[page(sign_ins)]),
            self._stream(
                workspace, "mailboxes", usage_csv=report(self.report), types=[json.dumps(self.types).encode()]
            ),
        ]
        if self.changed:
            self._stream(workspace, "users_changes", base=receipts[3], changed=[page(self.changed)])
        else:
            workspace.landing.discard(TENANT, "users_changes")
        target = TenantTarget(tenant_id=TENANT, connection="main", kind="partner")
        return TenantResult(target=target, status="ok", tenant_id=TENANT, receipts=receipts)

    def _stream(
        self, workspace: Workspace, stream: str, *, base: Receipt | None = None, **parts: Iterable[bytes] | str
    ) -> Receipt:
        read_id = f"read-{self._reads}"
        writer = workspace.landing.writer(TENANT, stream, read_id)
        for part, answers in parts.items():
            if isinstance(answers, str):
                writer.write_text(part, answers)
                continue
            for body in answers:
                writer.write(part, body)
        at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=self._reads)
        since = {"base": f"{base.read_id} {base.sha256}", "changed": 1, "users": 1, "removed": 0} if base else None
        return writer.commit(
            Receipt(
                source=TENANT,
                stream=stream,
                read_id=read_id,
                state="ok",
                started_at=at,
                ended_at=at,
                reason=self.reason if stream == "mailboxes" else None,
                bookmark=msgspec.json.encode(since).decode() if since else None,
            )
        )


def person(number: int) -> dict[str, Any]:
    """A licensed member with two addresses, of no slice in particular."""
    return {
        "id": f"{number:08x}-0000-4000-8000-00000000{number * 2654435761 % 65536:04x}",
        "userPrincipalName": name(number),
        "displayName": f"Person {number}",
        "jobTitle": "Clerk",
        "proxyAddresses": [f"SMTP:{name(number)}", f"smtp:alias{number}@x.example"],
        "assignedLicenses": [{"skuId": E3}],
        "licenseAssignmentStates": [{"skuId": E3, "state": "Active", "error": "None"}],
    }


def name(number: int) -> str:
    """The user name of a person."""
    return f"person{number}@x.example"


def report_row(upn: str, shown: str = "Somebody") -> list[str]:
    """A line of the usage report."""
    return ["2026-01-01", upn, shown, "False", "2025-12-31", "7", "1000", "2000", "True"]


def report(rows: Iterable[list[str]]) -> str:
    """The usage report as Microsoft sends it."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([COLUMNS, *rows])
    return "\ufeff" + text.getvalue()


def page(items: Iterable[Any], before: str = "") -> bytes:
    """A page of a collection; half of a surrogate pair stays the escape it is."""
    return before.encode() + json.dumps({"value": list(items)}).encode()


def installation(folder: Path, where: str = 'data_dir = "data"', more: str = "") -> Workspace:
    """An installation that has read nothing yet, unless its data are where those of another are."""
    config = folder / "o365_etl.toml"
    config.write_text(f"{where}\n{CONFIG}\n{more}", encoding="utf-8")
    return Workspace.of(load_settings(config))


def loaded(workspace: Workspace, db: Db, result: TenantResult) -> dict[str, list[str]]:
    """Load it, and the rows of all tables."""
    load(workspace, db, [result], shipped())
    return contents(db)


def loaded_anew(workspace: Workspace, db: Db, result: TenantResult) -> dict[str, list[str]]:
    """The rows as they were if nothing had been loaded before; what is there stays."""
    found: dict[str, list[str]] = {}

    class _Undo(Exception):  # no error: it ends the transaction
        pass

    try:
        with db.transaction():
            db.execute("DELETE FROM work.loaded_tenants")
            for table in LOADED:
                db.execute(f"DELETE FROM {table}")
            found = loaded(workspace, db, result)
            raise _Undo
    except _Undo:
        return found


def contents(db: Db) -> dict[str, list[str]]:
    """The rows of all tables, in order."""
    return {
        table: sorted(map(repr, db.rows(f"SELECT {', '.join(TABLES[table].column_names)} FROM {table}")))
        for table in LOADED
    }


Edit = Callable[[Landed, int], None]


def of_someone(landed: Landed, number: int) -> dict[str, Any]:
    """One of the users that are users."""
    users = [user for user in landed.users if isinstance(user, Mapping)]
    found: dict[str, Any] = users[number % len(users)] if users else {}
    return found
