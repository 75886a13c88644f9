"""What Microsoft's sign-in refuses, as one table: AADSTS number → our word, what it means, what to do.

Microsoft says that the numbers are for people and may change: an unknown one is `auth_failed`, with the text kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from o365_etl.errors import O365EtlError, SignInError, TransientError

_SECRET = "Create a client secret in the app registration and store its value where `client_secret` points."
_REFUSALS: Mapping[int, tuple[str, str, str]] = {
    7000215: (
        "secret_wrong",
        "the client secret is wrong",
        f"{_SECRET} The value is needed, not the secret's id.",
    ),
    7000222: ("secret_expired", "the client secret has expired", _SECRET),
    700027: (
        "certificate_unknown",
        "the certificate is not registered for the application, or has expired",
        "Upload the certificate of `certificate` to the app registration.",
    ),
    700024: (
        "clock_off",
        "the time in the certificate's assertion is not the time it is",
        "Set this machine's clock (NTP): it is more than five minutes off.",
    ),
    7000112: (
        "app_disabled",
        "the application is disabled in this tenant",
        "Enable it under Enterprise applications in this tenant.",
    ),
    90002: (
        "tenant_not_found",
        "there is no such tenant",
        "Check `tenant_id` and `cloud`; a customer's tenant that was deleted can be excluded.",
    ),
    900023: ("tenant_invalid", "the tenant id is neither a GUID nor a domain", "Correct `tenant_id`."),
    53003: (
        "conditional_access",
        "Conditional Access for workload identities blocks the application",
        "Exempt the application, or the address this program runs at, in that tenant's policy.",
    ),
    5000224: (
        "tenant_unavailable",
        "the tenant is deleted or unavailable",
        "Exclude it with `selection.exclude_tenants` if it is gone for good.",
    ),
    # Of the sign-in of all tenants at once; for one tenant the usual answer to such an application is 700016.
    50194: (
        "single_tenant",
        "the application is for its own tenant alone",
        "In the app registration under Authentication, set the supported account types to multiple Entra ID tenants.",
    ),
    500011: (
        "resource_not_found",
        "Microsoft Graph at this address is not known to the tenant",
        "Check `cloud` and `graph_url`.",
    ),
}
# 650051: the consent is being put into effect at this moment.
_NOT_CONSENTED = {7000229, 65001, 650051}
_APP_NOT_FOUND = 700016
_TRY_LATER = {50196, 90033, 90055}
_PATIENCE = "(a consent takes a few minutes to count: then run `o365-etl doctor`)."

_NUMBER = re.compile(r"AADSTS(\d+)")
_TRAILER = re.compile(r"\s*(Trace ID|Correlation ID|Timestamp):.*", re.DOTALL)
_NAMES = re.compile(r"'[^']*'|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\S+@\S+|https?://\S+")


def sign_in_error(answer: Mapping[str, Any], consent_link: str, *, own_tenant: bool) -> O365EtlError:
    """The error for a refusal of the sign-in service (its JSON body).

    `own_tenant` says whether the tenant is the one the application is registered for: there an unknown application
    is a wrong id, elsewhere it means that no administrator of that tenant has consented yet.
    """
    text = str(answer.get("error_description") or "")
    number = _number(answer.get("error_codes"), text)
    if number in _TRY_LATER or answer.get("error") == "temporarily_unavailable":
        return TransientError(f"sign-in is unavailable for the moment (AADSTS{number})", code="unavailable")
    if number in _NOT_CONSENTED:
        return not_consented(consent_link)
    if number == _APP_NOT_FOUND and not own_tenant:
        return UnknownAppError(consent_link)
    if number == _APP_NOT_FOUND:
        return SignInError(
            "sign-in refused: there is no application with this id in the tenant (AADSTS700016)",
            code="app_not_found",
            remedy="Check `client_id` and `tenant_id`: both stand on the app registration's overview page.",
        )
    if number in _REFUSALS:
        code, meaning, remedy = _REFUSALS[number]
        return SignInError(f"sign-in refused: {meaning} (AADSTS{number})", code=code, remedy=remedy)
    return SignInError(f"sign-in refused: {_anonymous(text) or 'no reason given'}")


class UnknownAppError(SignInError):
    """A customer's tenant does not know the application: no consent yet, as a rule. An application that is registered
    for its own tenant alone is answered the same everywhere, and consent cannot help it.
    """

    code = "not_consented"

    def __init__(self, consent_link: str) -> None:
        super().__init__(
            "this tenant does not know the application: nobody has consented to it yet (AADSTS700016)",
            remedy=(
                f"A Global Administrator of the tenant opens {consent_link} {_PATIENCE} If the page does not find the "
                "application either, set its supported account types to multiple Entra ID tenants."
            ),
        )


def not_consented(consent_link: str) -> SignInError:
    """The tenant is listed, but its administrator has not consented: a normal state of a tenant."""
    return SignInError(
        "no administrator of this tenant has consented to the application yet",
        code="not_consented",
        remedy=f"A Global Administrator of the tenant opens {consent_link} {_PATIENCE}",
    )


def _number(codes: object, text: str) -> int:
    if isinstance(codes, list) and codes and isinstance(codes[0], int):
        return codes[0]
    found = _NUMBER.search(text)
    return int(found[1]) if found else 0


def _anonymous(text: str) -> str:
    """The service's own words without ids, names and addresses: they go into logs."""
    return _NAMES.sub("…", _TRAILER.sub("", text)).strip()[:300]
