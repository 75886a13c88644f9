"""How the things of a tenant look in Graph's JSON: full property sets, from which `$select` takes its part.

What lives here: names and shapes of properties. Paging, permissions and errors are in `graph_service` and its routes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from typing import Any

from o365_etl.simulator.model import SimDomain, SimLicense, SimSku, SimSubscription, SimTenant, SimUser, stable_id
from o365_etl.simulator.names import words
from o365_etl.simulator.products import BY_ID

Json = dict[str, Any]

USER_DEFAULTS = words(
    "businessPhones displayName givenName id jobTitle mail mobilePhone officeLocation preferredLanguage surname "
    "userPrincipalName"
)
# Graph answers 501 when these are selected on the collection
USER_NOT_ON_COLLECTION = frozenset(
    words(
        "aboutMe birthday hireDate interests mailboxSettings mySite pastProjects preferredName responsibilities "
        "schools skills"
    )
)
# Properties of the type that the synthetic users do not have: selectable, always null
_USER_NULLS = words(
    "ageGroup authorizationInfo consentProvidedForMinor customSecurityAttributes deletedDateTime "
    "employeeHireDate employeeLeaveDateTime employeeOrgData employeeType faxNumber identities isManagementRestricted "
    "isResourceAccount legalAgeGroupClassification onPremisesDistinguishedName onPremisesDomainName "
    "onPremisesExtensionAttributes onPremisesProvisioningErrors onPremisesSamAccountName "
    "onPremisesSecurityIdentifier onPremisesUserPrincipalName passwordPolicies passwordProfile postalCode "
    "preferredDataLocation provisionedPlans securityIdentifier serviceProvisioningErrors "
    "signInSessionsValidFromDateTime state streetAddress"
)


def timestamp(moment: dt.datetime | None) -> str | None:
    """Graph's usual form of a moment, whole seconds in UTC."""
    return None if moment is None else moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def long_timestamp(moment: dt.datetime | None) -> str | None:
    """The form with seven fraction digits, which the delegated admin endpoints use."""
    return None if moment is None else moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "6Z"


def _assigned_licenses(user: SimUser) -> list[Json]:
    merged: dict[str, Json] = {}
    for held in user.licenses:
        if held.state in ("Active", "ActiveWithError"):
            merged.setdefault(held.sku_id, {"disabledPlans": list(held.disabled_plans), "skuId": held.sku_id})
    return list(merged.values())


def _license_state(user: SimUser, held: SimLicense) -> Json:
    return {
        "skuId": held.sku_id,
        "disabledPlans": list(held.disabled_plans),
        "assignedByGroup": held.group,
        "state": held.state,
        "error": held.error,
        "lastUpdatedDateTime": timestamp(user.created_at),
    }


def _assigned_plans(user: SimUser) -> list[Json]:
    assigned = timestamp(user.created_at)
    plans: dict[str, Json] = {}
    for held in user.licenses:
        product = BY_ID.get(held.sku_id)
        if product is None or held.state == "Error":
            continue
        for plan in product.plans:
            plans[plan.plan_id] = {
                "assignedDateTime": assigned,
                "capabilityStatus": "Enabled",
                "service": plan.service,
                "servicePlanId": plan.plan_id,
            }
    return list(plans.values())


_USER: dict[str, Callable[[SimUser], Any]] = {
    "id": lambda user: user.user_id,
    "userPrincipalName": lambda user: user.user_principal_name,
    "displayName": lambda user: user.display_name,
    "givenName": lambda user: user.given_name,
    "surname": lambda user: user.surname,
    "mail": lambda user: user.mail,
    "mailNickname": lambda user: user.mail_nickname or user.user_principal_name.split("@")[0],
    "proxyAddresses": lambda user: user.proxy_addresses,
    "otherMails": lambda user: user.other_mails,
    "userType": lambda user: user.user_type,
    "accountEnabled": lambda user: user.account_enabled,
    "createdDateTime": lambda user: timestamp(user.created_at),
    "creationType": lambda user: user.creation_type,
    "externalUserState": lambda user: user.external_user_state,
    "externalUserStateChangeDateTime": lambda user: timestamp(user.created_at) if user.external_user_state else None,
    "usageLocation": lambda user: user.usage_location,
    "department": lambda user: user.department,
    "jobTitle": lambda user: user.job_title,
    "companyName": lambda user: user.company_name,
    "officeLocation": lambda user: user.office_location,
    "city": lambda user: user.city,
    "country": lambda user: user.country,
    "businessPhones": lambda user: user.business_phones,
    "mobilePhone": lambda user: user.mobile_phone,
    "employeeId": lambda user: user.employee_id,
    "preferredLanguage": lambda user: user.preferred_language,
    "assignedLicenses": _assigned_licenses,
    "licenseAssignmentStates": lambda user: [_license_state(user, held) for held in user.licenses],
    "assignedPlans": _assigned_plans,
    "onPremisesSyncEnabled": lambda user: user.on_premises_sync_enabled,
    "onPremisesImmutableId": lambda user: user.user_id[:22] + "==" if user.on_premises_sync_enabled else None,
    "onPremisesLastSyncDateTime": lambda user: timestamp(user.created_at) if user.on_premises_sync_enabled else None,
    "lastPasswordChangeDateTime": lambda user: timestamp(user.created_at),
    "showInAddressList": lambda user: user.show_in_address_list,
    "imAddresses": lambda user: [user.mail] if user.mail else [],
}
USER_KNOWN = frozenset(_USER) | frozenset(_USER_NULLS) | {"signInActivity"}


def user_json(user: SimUser, select: Iterable[str]) -> Json:
    """The selected properties of a user. A user who never signed in has no `signInActivity` at all."""
    answer: Json = {}
    for name in select:
        if name == "signInActivity":
            if user.sign_in is not None:
                answer[name] = _sign_in(user)
            answer.setdefault("id", user.user_id)  # as the service does, asked or not
        else:
            read = _USER.get(name)
            answer[name] = None if read is None else read(user)
    return answer


def _sign_in(user: SimUser) -> Json:
    assert user.sign_in is not None
    request_id = stable_id("sign-in", user.user_id)
    return {
        "lastSignInDateTime": user.sign_in.last,
        "lastSignInRequestId": request_id if user.sign_in.last else "",
        "lastNonInteractiveSignInDateTime": user.sign_in.non_interactive,
        "lastNonInteractiveSignInRequestId": request_id if user.sign_in.non_interactive else "",
        "lastSuccessfulSignInDateTime": user.sign_in.successful,
        "lastSuccessfulSignInRequestId": request_id if user.sign_in.successful else "",
    }


def organization_json(tenant: SimTenant) -> Json:
    """The one row of /organization."""
    plans = [plan for sku in tenant.all_skus() for plan in sku.plans]
    return {
        "id": tenant.tenant_id,
        "deletedDateTime": None,
        "businessPhones": tenant.business_phones,
        "city": tenant.city,
        "country": tenant.country,
        "countryLetterCode": tenant.country_letter_code,
        "createdDateTime": timestamp(tenant.created_at),
        "defaultUsageLocation": None,
        "displayName": tenant.display_name,
        "marketingNotificationEmails": [],
        "onPremisesLastSyncDateTime": None,
        "onPremisesSyncEnabled": tenant.on_premises_sync_enabled,
        "partnerTenantType": None,
        "postalCode": tenant.postal_code,
        "preferredLanguage": "en",
        "privacyProfile": None,
        "securityComplianceNotificationMails": [],
        "securityComplianceNotificationPhones": [],
        "state": tenant.state,
        "street": tenant.street,
        "technicalNotificationMails": [f"it@{tenant.default_domain}"],
        "tenantType": "AAD",
        "directorySizeQuota": {"used": len(tenant.users), "total": 50_000},
        "assignedPlans": [
            {
                "assignedDateTime": timestamp(tenant.created_at),
                "capabilityStatus": "Enabled",
                "service": plan.service,
                "servicePlanId": plan.plan_id,
            }
            for plan in plans
        ],
        "provisionedPlans": [
            {"capabilityStatus": "Enabled", "provisioningStatus": "Success", "service": service}
            for service in sorted({plan.service for plan in plans})
        ],
        "verifiedDomains": [
            {
                "capabilities": "Email, OfficeCommunicationsOnline",
                "isDefault": domain.is_default,
                "isInitial": domain.is_initial,
                # Case varies on the wire: the initial domain keeps the capital it was registered with
                "name": domain.name[:1].upper() + domain.name[1:] if domain.is_initial else domain.name,
                "type": domain.authentication,
            }
            for domain in tenant.domains
            if domain.is_verified
        ],
    }


def domain_json(domain: SimDomain) -> Json:
    """One row of /domains; its id is its name."""
    return {
        "id": domain.name,
        "authenticationType": domain.authentication,
        "availabilityStatus": None,
        "isAdminManaged": True,
        "isDefault": domain.is_default,
        "isInitial": domain.is_initial,
        "isRoot": True,
        "isVerified": domain.is_verified,
        "manufacturer": None,
        "model": None,
        "passwordNotificationWindowInDays": 14,
        "passwordValidityPeriodInDays": 2147483647,
        "state": None,
        "supportedServices": ["Email", "OfficeCommunicationsOnline"] if domain.is_verified else [],
    }


def sku_json(tenant: SimTenant, sku: SimSku) -> Json:
    """One row of /subscribedSkus."""
    consumed = sku.consumed
    if consumed is None:
        consumed = sum(any(held.sku_id == sku.sku_id for held in user.licenses) for user in tenant.users)
    plans = [
        {
            "servicePlanId": plan.plan_id,
            "servicePlanName": plan.name,
            "provisioningStatus": "Success",
            "appliesTo": "User",
        }
        for plan in sku.plans
    ]
    return {
        "accountId": tenant.tenant_id,
        "accountName": tenant.initial_domain.split(".")[0],
        "appliesTo": sku.applies_to,
        "capabilityStatus": sku.status,
        "consumedUnits": consumed,
        "id": f"{tenant.tenant_id}_{sku.sku_id}",
        "prepaidUnits": {
            "enabled": sku.enabled,
            "suspended": sku.suspended,
            "warning": sku.warning,
            "lockedOut": sku.locked_out,
        },
        "servicePlans": plans,
        "skuId": sku.sku_id,
        "skuPartNumber": sku.part_number,
        "subscriptionIds": [
            subscription_id(tenant, bought) for bought in tenant.subscriptions if bought.part_number == sku.part_number
        ],
    }


def subscription_id(tenant: SimTenant, bought: SimSubscription) -> str:
    """The commerce id of a subscription."""
    return bought.subscription_id or stable_id("subscription", tenant.tenant_id, bought.part_number, bought.total)


def subscription_json(tenant: SimTenant, bought: SimSubscription) -> Json:
    """One row of /directory/subscriptions."""
    sku = next((sku for sku in tenant.all_skus() if sku.part_number == bought.part_number), None)
    identity = subscription_id(tenant, bought)
    return {
        "id": stable_id("directory-subscription", identity),
        "commerceSubscriptionId": identity,
        "createdDateTime": timestamp(bought.created_at),
        "isTrial": bought.is_trial,
        "nextLifecycleDateTime": timestamp(bought.next_lifecycle_at),
        "ownerId": None,
        "ownerTenantId": bought.owner_tenant_id,
        "ownerType": "User",
        "serviceStatus": [],
        "skuId": bought.sku_id or (sku.sku_id if sku else stable_id("sku", bought.part_number)),
        "skuPartNumber": bought.part_number,
        "status": bought.status,
        "totalLicenses": bought.total,
    }
