"""The products that the synthetic tenants buy: names, part numbers, ids and the plans that matter.

A handful of published facts, enough for every license case of the estates; not a catalogue. Plan ids are Microsoft's
where a client may look at them (mailbox plans, Entra P1 and P2), made up otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5

_PLAN_IDS = {
    "EXCHANGE_S_STANDARD": "9aaf7827-d63c-4b61-89c3-182f06f82e5c",
    "EXCHANGE_S_ENTERPRISE": "efb87545-963c-4e0d-99df-69c6916d9eb0",
    "EXCHANGE_S_DESKLESS": "4a82b400-a79f-41a4-b4e2-e94f5787b113",
    "EXCHANGE_S_ESSENTIALS": "1126bef5-da20-4f07-b45e-ad25d2581aa8",
    "EXCHANGE_S_FOUNDATION": "113feb6c-3fe4-4440-bddc-54d774bf0318",
    "EXCHANGE_S_ARCHIVE_ADDON": "176a09a6-7ec5-4039-ac02-b2791c6ba793",
    "AAD_PREMIUM": "41781fb2-bc02-4b7c-bd55-b576c07bb09d",
    "AAD_PREMIUM_P2": "eec0eb4f-6444-4f95-aba0-50c24d67f998",
}
_SERVICES = {
    "EXCHANGE": "exchange",
    "SHAREPOINT": "SharePoint",
    "TEAMS": "TeamspaceAPI",
    "OFFICE": "MicrosoftOffice",
    "AAD": "AADPremiumService",
    "INTUNE": "SCO",
}
MAILBOX_PLANS = frozenset(
    {"EXCHANGE_S_STANDARD", "EXCHANGE_S_ENTERPRISE", "EXCHANGE_S_DESKLESS", "EXCHANGE_S_ESSENTIALS"}
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One service plan; `service` is the word that `assignedPlans` uses for it."""

    name: str

    @property
    def plan_id(self) -> str:
        """The plan's GUID."""
        return _PLAN_IDS.get(self.name) or str(uuid5(NAMESPACE_URL, f"o365_etl/plan/{self.name}"))

    @property
    def service(self) -> str:
        """The service the plan belongs to, as Graph names it."""
        return next((word for start, word in _SERVICES.items() if self.name.startswith(start)), "Other")


@dataclass(frozen=True, slots=True)
class Product:
    """One SKU that can be bought."""

    name: str
    part_number: str
    sku_id: str
    plans: tuple[Plan, ...]

    @property
    def has_mailbox(self) -> bool:
        """True if one of its plans carries a mailbox."""
        return any(plan.name in MAILBOX_PLANS for plan in self.plans)

    @property
    def is_premium(self) -> bool:
        """True if it holds Entra ID P1 or P2, without which sign-in activity cannot be read."""
        return any(plan.name.startswith("AAD_PREMIUM") for plan in self.plans)


# One product in two lines: name, part number and id; then the plans that matter
_FACTS = """
Microsoft 365 Business Basic|O365_BUSINESS_ESSENTIALS|3b555118-da6a-4418-894f-7df1e2096870
  EXCHANGE_S_STANDARD SHAREPOINTSTANDARD TEAMS1
Microsoft 365 Business Standard|O365_BUSINESS_PREMIUM|f245ecc8-75af-4f8e-b61f-27d8114de5f3
  EXCHANGE_S_STANDARD SHAREPOINTSTANDARD TEAMS1 OFFICE_BUSINESS
Microsoft 365 Business Premium|SPB|cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46
  EXCHANGE_S_STANDARD OFFICE_BUSINESS AAD_PREMIUM
Microsoft 365 Apps for Business|O365_BUSINESS|cdd28e44-67e3-425e-be4c-737fab2899d3
  OFFICE_BUSINESS
Office 365 E1|STANDARDPACK|18181a46-0d4e-45cd-891e-60aabd171b4e
  EXCHANGE_S_STANDARD SHAREPOINTSTANDARD TEAMS1
Office 365 E3|ENTERPRISEPACK|6fd2c87f-b296-42f0-b197-1e91e994b900
  EXCHANGE_S_ENTERPRISE SHAREPOINTENTERPRISE TEAMS1 OFFICESUBSCRIPTION
Microsoft 365 E3|SPE_E3|05e9a617-0261-4cee-bb44-138d3ef5d965
  EXCHANGE_S_ENTERPRISE OFFICESUBSCRIPTION AAD_PREMIUM INTUNE_A
Microsoft 365 E5|SPE_E5|06ebc4ee-1bb5-47dd-8120-11324bc54e06
  EXCHANGE_S_ENTERPRISE OFFICESUBSCRIPTION AAD_PREMIUM AAD_PREMIUM_P2
Microsoft 365 F3|SPE_F1|66b55226-6b4f-492c-910c-a3b7a3c9d993
  EXCHANGE_S_DESKLESS TEAMS1 AAD_PREMIUM
Microsoft 365 F1|M365_F1|44575883-256e-4a79-9da4-ebe9acabe2b2
  TEAMS1 AAD_PREMIUM
Microsoft 365 F1|M365_F1_COMM|50f60901-3181-4b75-8a2c-4c8e4c1d5a72
  EXCHANGE_S_DESKLESS TEAMS1 AAD_PREMIUM
Exchange Online (Plan 1)|EXCHANGESTANDARD|4b9405b0-7788-4568-add1-99614e613b69
  EXCHANGE_S_STANDARD
Exchange Online (Plan 2)|EXCHANGEENTERPRISE|19ec0d23-8335-4cbd-94ac-6050e30712fa
  EXCHANGE_S_ENTERPRISE
Exchange Online Archiving for Exchange Online|EXCHANGEARCHIVE_ADDON|ee02fd1b-340e-4a4b-b355-4a514e4c8943
  EXCHANGE_S_ARCHIVE_ADDON
Microsoft Entra ID P1|AAD_PREMIUM|078d2b04-f1bd-4111-bbd4-b4b1b354cef4
  AAD_PREMIUM MFA_PREMIUM
Visio Plan 2|VISIOCLIENT|c5928f49-12ba-48f7-ada3-0d743a3601d5
  VISIO_CLIENT_SUBSCRIPTION
Planner and Project Plan 3|PROJECTPROFESSIONAL|53818b1b-4a27-454b-8896-0dba576410e6
  PROJECT_CLIENT_SUBSCRIPTION
Microsoft Copilot for Microsoft 365|Microsoft_365_Copilot|639dec6b-bb19-468b-871c-c5c441c4b0cb
  M365_COPILOT_APPS
Power BI Pro|POWER_BI_PRO|f8a1db68-be16-40ed-86d5-cb42ce701560
  BI_AZURE_P2
Microsoft Fabric (Free)|POWER_BI_STANDARD|a403ebcc-fae0-4ca2-8c8c-7a907fd6c235
  BI_AZURE_P0
Microsoft Power Automate Free|FLOW_FREE|f30db892-07e9-47e9-837c-80727f46fd3d
  FLOW_P2_VIRAL
Microsoft Power Apps Plan 2 Trial|POWERAPPS_VIRAL|dcb1a3ae-b33f-4487-846a-a640262fadf4
  FLOW_P2_VIRAL
Microsoft Teams Exploratory|TEAMS_EXPLORATORY|710779e8-3d4a-4c88-adb9-386c958d1fdf
  EXCHANGE_S_STANDARD TEAMS1
Microsoft Teams Rooms Standard|MEETING_ROOM|6070a4c8-34c6-4937-8dfb-39bbc6397a60
  TEAMS1 AAD_PREMIUM INTUNE_A
Windows Store for Business|WINDOWS_STORE|6470687e-a428-4b7a-bef2-8a291ad947c9
  WINDOWS_STORE
""".strip()


def _parse(head: str, plans: str) -> Product:
    name, part_number, sku_id = head.split("|")
    return Product(name, part_number, sku_id, tuple(Plan(plan) for plan in plans.split()))


# A SKU that no published list knows yet: newer than the newest edition
UNKNOWN_PRODUCT = Product(
    "", "CONTOSO_AI_BUNDLE_2031", "7e0c2f1a-5d6b-4c3d-9a8e-1f2b3c4d5e6f", (Plan("CONTOSO_AI_BUNDLE"),)
)
_LINES = _FACTS.splitlines()
_KNOWN = [_parse(head, plans) for head, plans in zip(_LINES[::2], _LINES[1::2], strict=True)]
PRODUCTS = {product.part_number: product for product in [*_KNOWN, UNKNOWN_PRODUCT]}
BY_ID = {product.sku_id: product for product in PRODUCTS.values()}
