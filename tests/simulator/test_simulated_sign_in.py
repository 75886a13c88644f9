"""The sign-in service: discovery, tokens, and every refusal with its code."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import msal
import pytest
import requests

from o365_etl.simulator import Estate, SimTenant, Simulator
from o365_etl.simulator.certificates import prepare
from o365_etl.simulator.simulator import direct_client_id
from tests.simulator.caller import Caller


def claims(token: str) -> dict[str, object]:
    """The claims of a JWT, unchecked."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def refusal(answer: requests.Response) -> tuple[int, str, list[int]]:
    """Status, error word and codes of a refusal, after checking that the description names the code."""
    body = answer.json()
    assert body["error_description"].startswith(f"AADSTS{body['error_codes'][0]}: ")
    return answer.status_code, body["error"], body["error_codes"]


@pytest.fixture
def world(folder: Path) -> Iterator[Caller]:
    """Tenants in every state of consent and secret."""
    tenants = [
        SimTenant("Fine"),
        SimTenant("Waiting", consented=False),
        SimTenant("Expired", direct=True, secret_state="expired"),
        SimTenant("Direct", direct=True),
        SimTenant("Roleless", roles=()),
    ]
    with Simulator(Estate.build(tenants), folder=folder) as simulator:
        client = Caller(simulator)
        yield client
        client.session.close()


def test_a_token_names_the_tenant_the_application_and_its_roles(world: Caller) -> None:
    """The claims that a client reads for diagnosis are those of the tenant it asked for."""
    tenant = world.simulator.estate.tenants[0]

    answer = world.sign_in(tenant.tenant_id)

    body = answer.json()
    assert (answer.status_code, body["token_type"], body["expires_in"]) == (200, "Bearer", 3599)
    found = claims(body["access_token"])
    assert found["tid"] == tenant.tenant_id
    assert found["appid"] == world.simulator.partner.client_id
    assert found["roles"] == list(tenant.roles)
    assert found["idtyp"] == "app"


def test_a_tenant_that_granted_nothing_has_no_roles_claim(world: Caller) -> None:
    """The claim is absent, not empty, when nothing was granted."""
    answer = world.sign_in("roleless.example")

    assert "roles" not in claims(answer.json()["access_token"])


def test_a_tenant_may_be_addressed_by_a_verified_domain(world: Caller) -> None:
    """The token is for the tenant that owns the domain."""
    answer = world.sign_in("fine.onmicrosoft.com")

    assert claims(answer.json()["access_token"])["tid"] == world.simulator.estate.tenants[0].tenant_id


@pytest.mark.parametrize(
    ("tenant", "form", "expected"),
    [
        ("fine.example", {"client_secret": "wrong"}, (401, "invalid_client", [7000215])),
        ("waiting.example", {}, (401, "invalid_client", [7000229])),
        ("fine.example", {"client_id": "11111111-1111-1111-1111-111111111111"}, (400, "unauthorized_client", [700016])),
        ("00000000-aaaa-bbbb-cccc-000000000000", {}, (400, "invalid_request", [90002])),
        ("no*domain", {}, (400, "invalid_request", [900023])),
        ("fine.example", {"scope": "https://elsewhere.example/.default"}, (400, "invalid_resource", [500011])),
        ("fine.example", {"grant_type": "password"}, (400, "unsupported_grant_type", [70003])),
    ],
)
def test_refusals(world: Caller, tenant: str, form: dict[str, str], expected: tuple[int, str, list[int]]) -> None:
    """Each way of being wrong has the status, word and AADSTS code of the real service."""
    assert refusal(world.sign_in(tenant, **form)) == expected


def test_an_expired_secret_of_a_direct_tenant(world: Caller) -> None:
    """The right secret of an application whose secrets expired is refused with 7000222."""
    tenant = world.simulator.estate.tenants[2]
    settings = world.simulator.settings_toml("data")
    secret = (world.simulator.folder / "secret_expired").read_text(encoding="utf-8")

    answer = world.sign_in(tenant.tenant_id, client_id=direct_client_id(tenant), client_secret=secret)

    assert direct_client_id(tenant) in settings
    assert refusal(answer) == (401, "invalid_client", [7000222])


def test_a_single_tenant_application_is_unknown_elsewhere(world: Caller) -> None:
    """The application of a direct tenant does not exist in another one."""
    tenant = world.simulator.estate.tenants[3]

    assert refusal(world.sign_in("fine.example", client_id=direct_client_id(tenant)))[2] == [700016]


def test_an_unknown_tenant_has_no_openid_document(world: Caller) -> None:
    """Discovery refuses with another word than the token endpoint: invalid_tenant."""
    url = f"{world.simulator.login_url}/nobody.example/v2.0/.well-known/openid-configuration"

    assert refusal(world.session.get(url, timeout=10)) == (400, "invalid_tenant", [90002])


def test_discovery_documents_lead_back_to_the_simulator(world: Caller) -> None:
    """Endpoints in the documents carry the simulator's own host and port."""
    base = world.simulator.login_url
    openid = world.session.get(f"{base}/fine.example/v2.0/.well-known/openid-configuration", timeout=10).json()
    instance = world.session.get(f"{base}/common/discovery/instance", timeout=10).json()
    keys = world.session.get(openid["jwks_uri"], timeout=10).json()

    assert openid["token_endpoint"] == f"{base}/fine.example/oauth2/v2.0/token"
    assert instance["tenant_discovery_endpoint"].startswith(base)
    assert instance["api-version"] == "1.1"
    assert keys == {"keys": []}


@pytest.mark.parametrize("with_public_certificate", [True, False], ids=["PS256", "RS256"])
def test_msal_signs_in_with_the_certificate(world: Caller, with_public_certificate: bool) -> None:
    """Both kinds of assertion that msal makes are accepted for the registered certificate."""
    answer = msal_app(world, world.simulator.partner.certificate_pem, with_public_certificate)

    assert answer.get("token_type") == "Bearer"


def test_a_certificate_that_is_not_registered_is_refused(world: Caller, tmp_path: Path) -> None:
    """An assertion signed with another key gets 700027."""
    answer = msal_app(world, prepare(tmp_path).app, True)

    assert answer["error_codes"] == [700027]


def test_a_forged_assertion_is_refused(world: Caller) -> None:
    """Claims that were changed after signing do not pass."""
    form = {
        "client_secret": "",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "e30.e30.e30",
    }

    assert refusal(world.sign_in("fine.example", **form)) == (401, "invalid_client", [700027])


def msal_app(world: Caller, pem: Path, with_public_certificate: bool) -> dict[str, object]:
    """What msal gets for the certificate in `pem`."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    text = pem.read_text(encoding="utf-8")
    public, key = text[: text.index("-----BEGIN PRIVATE")], text[text.index("-----BEGIN PRIVATE") :]
    if with_public_certificate:
        credential = {"private_key": key, "public_certificate": public}
    else:
        thumbprint = x509.load_pem_x509_certificate(public.encode()).fingerprint(hashes.SHA1()).hex()
        credential = {"private_key": key, "thumbprint": thumbprint}
    app = msal.ConfidentialClientApplication(
        world.simulator.partner.client_id,
        client_credential=credential,
        authority=f"{world.simulator.login_url}/fine.example",
        instance_discovery=False,
        http_client=world.session,
    )
    answer: dict[str, object] = app.acquire_token_for_client([f"{world.simulator.graph_url}/.default"])
    return answer
