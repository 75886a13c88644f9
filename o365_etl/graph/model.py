"""What goes into and comes out of a read: targets, results, and the names of the streams. Plain data, no behaviour.

The structs are JSON-serialisable through msgspec, so that a scheduler may pass them between processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

from o365_etl.errors import O365EtlError
from o365_etl.receipts import Receipt

STREAMS = ("tenants", "domains", "users", "licenses", "mailboxes", "sign_ins")
TenantStatus = Literal["ok", "partial", "failed", "not_consented"]


class TenantTarget(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant to read, as a connection names it.

    `tenant_id` is the tenant's GUID in lower case, or the configured domain of a direct tenant. From a partner's
    lists it may also be whatever stood there: such a target fails with `invalid_tenant_id` and is asked nothing.
    `listed_in` says where a partner connection found it: `contracts`, `gdap`.
    """

    tenant_id: str
    connection: str
    kind: Literal["partner", "direct"]
    display_name: str | None = None
    default_domain: str | None = None
    access_ends_at: datetime | None = None
    listed_in: tuple[str, ...] = ()


class TenantResult(msgspec.Struct, frozen=True, kw_only=True):
    """How reading one tenant went.

    `tenant_id` is the id the tenant itself gave (None if it never answered), `receipts` has one receipt for each
    stream that was tried, `as_of` is the time of the users in force: of this read, or of the last certified one.
    `roles` are the application permissions in the token, None if it could not be read; `missing_permissions` and
    `excess_permissions` what that comes to (`rights`), None if not known.
    """

    target: TenantTarget
    status: TenantStatus
    tenant_id: str | None = None
    receipts: list[Receipt] = []
    error_code: str | None = None
    message: str | None = None
    remedy: str | None = None
    as_of: datetime | None = None
    roles: list[str] | None = None
    missing_permissions: list[str] | None = None
    excess_permissions: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Discovery:
    """The tenants of one connection.

    `complete` is False if a list could not be read to its end, so that a tenant missing here is not thereby gone;
    `problem` then says why.
    """

    targets: list[TenantTarget] = field(default_factory=list)
    complete: bool = True
    problem: O365EtlError | None = None
