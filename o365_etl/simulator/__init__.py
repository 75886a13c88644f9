"""A simulator of Microsoft's sign-in, Graph and IT Glue on loopback, for the demo, the tests and the benchmarks.

    estate = Estate.build([SimTenant("Contoso", users=[SimUser.person("Anna", "Berg", "contoso.example")])])
    with Simulator(estate, faults=FaultPlan([Fault("graph", "throttle", calls=(1,))])) as simulator:
        Path("o365_etl.toml").write_text(simulator.settings_toml("data"))

It is a test instrument: it refuses what the services refuse, and is proved with Microsoft's own SDK
(`tests/simulator/test_msgraph_sdk.py`). It knows nothing of the program that it tests.

Not modelled, so not to be relied on:

* Sign-in: delegated flows, `client_secret_basic`, Conditional Access, claims challenges (CP1), published signing keys.
* Graph: filters and `manager` in users/delta, `$expand`, `$search`, `$orderby`, filters beyond comparisons joined by
  `and`, the partial view that a basic permission gives, getOffice365ActiveUserDetail, deleted items, writes of any
  kind; a `$batch` item's order of execution; resource-unit buckets and the limits of reports and Outlook (use the fault
  plan).
* IT Glue: configurations, related items, attachments, logs, exports; includes other than adapters_resources and
  flexible_asset_fields; new types of organizations and contacts; deleting anything but contacts and organizations.
  Guesses are: what a 429 says, page sizes above 1,000, that e-mails and phones of a contact are replaced whole, that a
  refused bulk request does not say which item is wrong, and that an attribute nobody knows is ignored.
* Both: compression, HTTP/2.
"""

from __future__ import annotations

from o365_etl.simulator.estate import Estate, Truth
from o365_etl.simulator.faults import Fault, FaultPlan
from o365_etl.simulator.itglue_model import (
    SimAdapter,
    SimContact,
    SimEmail,
    SimFlexibleAsset,
    SimFlexibleAssetField,
    SimFlexibleAssetType,
    SimLocation,
    SimOrganization,
    SimPhone,
    emails,
)
from o365_etl.simulator.itglue_service import ItGlueBehaviour
from o365_etl.simulator.model import (
    PARTNER_ROLES,
    READER_ROLES,
    SimDomain,
    SimLicense,
    SimMailbox,
    SimRelationship,
    SimSignIn,
    SimSku,
    SimSubscription,
    SimTenant,
    SimUser,
    stable_id,
)
from o365_etl.simulator.products import PRODUCTS
from o365_etl.simulator.simulator import RequestRecord, Simulator

__all__ = [
    "PARTNER_ROLES",
    "PRODUCTS",
    "READER_ROLES",
    "Estate",
    "Fault",
    "FaultPlan",
    "ItGlueBehaviour",
    "RequestRecord",
    "SimAdapter",
    "SimContact",
    "SimDomain",
    "SimEmail",
    "SimFlexibleAsset",
    "SimFlexibleAssetField",
    "SimFlexibleAssetType",
    "SimLicense",
    "SimLocation",
    "SimMailbox",
    "SimOrganization",
    "SimPhone",
    "SimRelationship",
    "SimSignIn",
    "SimSku",
    "SimSubscription",
    "SimTenant",
    "SimUser",
    "Simulator",
    "Truth",
    "emails",
    "stable_id",
]
