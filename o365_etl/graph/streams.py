"""The streams that are a few plain requests each: tenants, domains, users, licenses, sign-ins.

What does not live here: the mailboxes (`mailboxes`) and the order of the streams (`tenant`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from o365_etl.config import is_guid
from o365_etl.errors import (
    ForbiddenError,
    NotFoundError,
    O365EtlError,
    PageExpiredError,
    ProtocolError,
    TransientError,
    UnsupportedError,
)
from o365_etl.graph.answers import (
    Page,
    Sku,
    decode_objects,
    decode_organization,
    decode_skus,
    decode_users,
)
from o365_etl.graph.client import TenantClient
from o365_etl.graph.directory import Directory
from o365_etl.graph.recording import Recording
from o365_etl.graph.transport import Tally
from o365_etl.receipts import Receipt

T = TypeVar("T")
USERS_PER_PAGE = 999  # Graph's largest; 500 with sign-ins
USER_FIELDS = (
    "id,userPrincipalName,displayName,givenName,surname,mail,proxyAddresses,otherMails,userType,accountEnabled,"
    "createdDateTime,usageLocation,department,jobTitle,companyName,officeLocation,businessPhones,mobilePhone,"
    "assignedLicenses,licenseAssignmentStates,assignedPlans,onPremisesSyncEnabled"
)
"""Every field a table or a matching rule needs and none beyond: whatever is read of a person must have a use."""
ORGANIZATION_FIELDS = (
    "id,displayName,street,city,state,postalCode,country,countryLetterCode,businessPhones,verifiedDomains"
)
"""What the tables need: the rest holds the time of the last directory sync, new with every read."""

_PREMIUM_PLANS = {"AAD_PREMIUM", "AAD_PREMIUM_P2"}
_RESTARTS = 2


class _Id(msgspec.Struct, gc=False):
    id: str


_decode_ids = msgspec.json.Decoder(Page[_Id]).decode


@dataclass(frozen=True, slots=True)
class Licensing:
    """What the licenses tell about the other streams. None: they could not be read."""

    consumed: int | None = None
    premium: bool | None = None


def organization(client: TenantClient, tally: Tally) -> tuple[str, bytes]:
    """The tenant's own record: its id in lower case, and the answer. Nothing is landed before the id is known.

    Raises `ProtocolError`, with code `wrong_tenant` if the token is for another tenant than the one that answers.
    """
    path = f"organization?$select={ORGANIZATION_FIELDS}"
    body, page = client.get(path, decode_organization, tally, permission="Organization.Read.All")
    if len(page.value) != 1 or not is_guid(page.value[0].id):
        raise ProtocolError("the tenant's own record is not one record with a tenant id")
    tenant_id = page.value[0].id.lower()
    claimed = client.sign_in.token().tenant_id
    if claimed is not None and claimed != tenant_id:
        raise wrong_tenant()
    return tenant_id, body


def wrong_tenant() -> ProtocolError:
    """Another tenant answered than the one asked: nothing of it may be kept."""
    return ProtocolError(
        "another tenant answered than the one that was asked; nothing of it was kept",
        code="wrong_tenant",
        remedy="Check `tenant_id`, `login_url` and `graph_url`; a proxy or a test server may mix tenants up.",
    )


def domains(client: TenantClient, recording: Recording) -> Receipt:
    """The tenant's domains."""
    _collection(client, recording, "domains", "domains", "Domain.Read.All", decode_objects)
    return recording.ok()


def users(client: TenantClient, recording: Recording, directory: Directory) -> None:
    """All users, page by page; the caller decides whether an answer without users is believed."""

    def read() -> None:
        directory.clear()
        path = f"users?$select={USER_FIELDS}&$top={USERS_PER_PAGE}"
        for body, page in client.pages(path, decode_users, recording.tally, permission="User.Read.All"):
            recording.page("users", body)
            directory.add(page.value)
        recording.rows = len(directory.ids)

    restarting(read, recording)


def licenses(client: TenantClient, recording: Recording) -> tuple[Receipt, Licensing]:
    """The products the tenant holds and, where the tenant lets us, the subscriptions behind them."""
    permission = "LicenseAssignment.Read.All"
    skus: list[Sku] = []
    _collection(client, recording, "subscribedSkus", "subscribed_skus", permission, decode_skus, skus.extend)
    known = Licensing(sum(sku.consumed or 0 for sku in skus), any(is_premium(sku) for sku in skus))
    try:
        path, permission = "directory/subscriptions", "Organization.Read.All"
        for body, _ in client.pages(path, decode_objects, recording.tally, permission=permission):
            recording.page("subscriptions", body)
    except (ForbiddenError, NotFoundError, UnsupportedError):
        return recording.ok("no_renewal_dates"), known
    return recording.ok(), known


def sign_ins(client: TenantClient, recording: Recording, licensing: Licensing) -> Receipt:
    """When users last signed in: for tenants with Entra ID P1 or P2 only, and a listing of its own, because without
    P1 the whole page is refused.
    """
    if licensing.premium is False:
        return recording.skipped("no_premium")
    path = "users?$select=id,signInActivity&$top=500"
    seen: set[str] = set()

    def read() -> None:
        seen.clear()
        for body, page in client.pages(path, _decode_ids, recording.tally, permission="AuditLog.Read.All"):
            recording.page("sign_ins", body)
            seen.update(user.id for user in page.value)
        recording.rows = len(seen)

    try:
        restarting(read, recording)
    except ForbiddenError as error:
        recording.restart()
        return recording.skipped("no_premium") if error.code == "no_premium" else recording.degraded("forbidden", error)
    return recording.ok()


def restarting(read: Callable[[], None], recording: Recording) -> None:
    """Run `read`, again from the start if a page token expired under it; what was landed is forgotten each time."""
    for _ in range(_RESTARTS):
        try:
            return read()
        except PageExpiredError:
            recording.restart()
    return read()


def zero_users() -> O365EtlError:
    """The listing of users is empty where it cannot be."""
    return TransientError(
        "Microsoft answered without a single user, which this tenant cannot be; the users known so far stay",
        code="zero_users",
        remedy="The next sync asks again. If it recurs, check User.Read.All and the tenant in the Entra admin center.",
    )


def _collection(
    client: TenantClient,
    recording: Recording,
    path: str,
    part: str,
    permission: str,
    decode: Callable[[bytes], Page[T]],
    keep: Callable[[list[T]], None] | None = None,
) -> None:
    for body, page in client.pages(path, decode, recording.tally, permission=permission):
        recording.page(part, body, rows=len(page.value))
        if keep is not None:
            keep(page.value)


def is_premium(sku: Sku) -> bool:
    """True if the product brings Entra ID P1 or P2, without which Microsoft tells no sign-ins."""
    return any(
        (plan.name or "").upper() in _PREMIUM_PLANS and (plan.status or "").lower() == "success"
        for plan in sku.plans or ()
    )
