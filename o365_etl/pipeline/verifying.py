"""Whether a connection works: one real sign-in, one look at the customers, one request to IT Glue.

What does not live here: what every single tenant allows (`doctor` asks that), and what is saved (`connecting`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from o365_etl.config import ITGLUE_REGIONS, Connection, Settings, is_guid
from o365_etl.errors import ConfigError, O365EtlError
from o365_etl.graph import streams
from o365_etl.graph.aadsts import UnknownAppError
from o365_etl.graph.discovery import discover
from o365_etl.graph.model import TenantTarget
from o365_etl.graph.session import GraphSession
from o365_etl.graph.transport import Tally
from o365_etl.itglue.probe import ask_key
from o365_etl.pipeline.findings import SOON
from o365_etl.pipeline.workspace import now

# Customers that are asked whether they know the application at all.
_ASKED = 3


@dataclass(frozen=True)
class Customers:
    """The customers of a partner, by the list that names them; `ending` have an access that ends soon."""

    total: int
    by_contracts: int
    by_gdap: int
    ending: int
    first_end: datetime | None


@dataclass(frozen=True)
class Answer:
    """What Microsoft says about a connection. `tenant_name` is what a direct tenant calls itself."""

    tenant_id: str
    tenant_name: str | None = None
    customers: Customers | None = None
    warnings: list[str] = field(default_factory=list)


def check_secret(connection: Connection) -> None:
    """A secret's id is a GUID, its value never is: said before Microsoft is asked."""
    key = f"connections[{connection.name!r}].client_secret"
    if connection.client_secret is not None and is_guid(connection.client_secret.read(key)):
        raise ConfigError(
            f"{key}: this is the id of a client secret, not its value",
            code="secret_id",
            remedy="Copy the column Value under Certificates & secrets; Microsoft shows it only once, so if it is "
            "hidden already, create another secret.",
        )


def ask_microsoft(settings: Settings, connection: Connection) -> Answer:
    """Sign in, and find out whose tenant it is and, of a partner, which customers it has.

    Raises what Microsoft says; also for a partner's list of customers that could not be read to its end.
    """
    with GraphSession(settings, threads=4) as session:
        client = session.client(connection, connection.tenant_id)
        if connection.kind == "direct":
            tenant_id, body = streams.organization(client, Tally())
            _check_tenant(connection, tenant_id)
            return Answer(tenant_id, _organization.decode(body).value[0].name)
        tenant_id = client.sign_in.token().tenant_id or streams.organization(client, Tally())[0]
        _check_tenant(connection, tenant_id)
        found = discover(session, connection)
        if found.problem is not None:
            raise found.problem
        customers = _counted(found.targets)
        return Answer(tenant_id, None, customers, _doubts(session, connection, found.targets))


class _Organization(msgspec.Struct):
    name: str | None = msgspec.field(default=None, name="displayName")


class _Organizations(msgspec.Struct):
    value: list[_Organization]


_organization = msgspec.json.Decoder(_Organizations)


def _check_tenant(connection: Connection, tenant_id: str) -> None:
    if is_guid(connection.tenant_id) and connection.tenant_id != tenant_id:
        raise streams.wrong_tenant()


def _counted(targets: Sequence[TenantTarget]) -> Customers:
    ends = [t.access_ends_at for t in targets if t.access_ends_at is not None and t.access_ends_at < now() + SOON]
    return Customers(
        total=len(targets),
        by_contracts=sum("contracts" in target.listed_in for target in targets),
        by_gdap=sum("gdap" in target.listed_in for target in targets),
        ending=len(ends),
        first_end=min(ends, default=None),
    )


def _doubts(session: GraphSession, connection: Connection, targets: Sequence[TenantTarget]) -> list[str]:
    """What a look at a few customers tells about the application; raises what would be wrong in each of them."""
    if not targets:
        return ["The partner tenant lists no customers: neither contracts nor GDAP relationships name one."]
    asked = [target.tenant_id for target in targets if is_guid(target.tenant_id)][:_ASKED]
    unknown: list[UnknownAppError] = []
    for tenant_id in asked:
        try:
            session.client(connection, tenant_id).sign_in.token()
        except UnknownAppError as error:
            unknown.append(error)
        except O365EtlError as error:
            if error.code == "single_tenant":
                raise
    if asked and len(unknown) == len(asked):
        return [
            f"None of the {len(asked)} customers that were asked knows the application (AADSTS700016). If nobody has "
            "consented there yet, that is in order. An application for its own tenant alone is answered the same: "
            "look at Authentication, Supported account types in the app registration, it must say multiple Entra ID "
            "tenants."
        ]
    return []


def check_itglue(settings: Settings) -> None:
    """Read one organization with the key. Raises what IT Glue says, with the regions a key may belong to."""
    own = settings.itglue
    error = ask_key(own, settings.ca_bundle).error
    if error is None:
        return
    if error.code == "itglue_key":
        others = [f"{name} ({url})" for name, url in ITGLUE_REGIONS.items() if url != own.url]
        region = own.base_url or f"the region {own.region} ({own.url})"
        error.remedy = (
            f"Check the key, and whether {region} is where the account is: a key works in its own region only. The "
            f"other regions are {', '.join(others)}; --itglue-region chooses."
        )
    raise error
