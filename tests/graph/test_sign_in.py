"""Signing in: every refusal has its word and its mend, and TLS is what the configuration says."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from o365_etl.config import Connection, SecretRef, Settings
from o365_etl.errors import ConfigError, SignInError, TransientError
from o365_etl.graph import TenantTarget, read_tenants
from o365_etl.graph.aadsts import sign_in_error
from o365_etl.graph.credentials import certificate
from o365_etl.graph.sign_in import DOCUMENT, SignInDocuments
from o365_etl.graph.transport import Answer
from o365_etl.simulator import Fault, SimTenant, stable_id
from o365_etl.simulator.certificates import prepare
from tests.graph.conftest import Rig, Script, answer, people

Begin = Callable[..., Rig]


def test_a_tenant_without_consent_is_no_failure(rig: Begin) -> None:
    """The status is not_consented, and the remedy is the link its administrator opens."""
    world = rig(SimTenant("Contoso", users=people(1), consented=False))
    tenant_id = world.estate.tenants[0].tenant_id

    result = world.read()

    partner = world.simulator.partner
    assert (result.status, result.error_code) == ("not_consented", "not_consented")
    assert f"{world.simulator.login_url}/{tenant_id}/adminconsent?client_id={partner.client_id}" in str(result.remedy)
    assert world.simulator.count("graph") == 0


@pytest.mark.parametrize(("state", "code"), [("expired", "secret_expired"), ("wrong", "secret_wrong")])
def test_a_bad_secret_is_named(rig: Begin, state: Any, code: str) -> None:
    """An expired and a wrong secret are told apart, and the remedy names the configuration key."""
    world = rig(SimTenant("Contoso", users=people(1), direct=True, secret_state=state))
    connection = next(c for c in world.settings.connections if c.kind == "direct")

    target = TenantTarget(tenant_id=connection.tenant_id, connection=connection.name, kind="direct")
    result = world.read(target)

    assert (result.status, result.error_code) == ("failed", code)
    assert "client_secret" in str(result.remedy)


def test_a_certificate_signs_in(rig: Begin) -> None:
    """Certificate and key in one PEM file are enough."""
    world = rig()
    pem = world.simulator.partner.certificate_pem
    settings = _with_certificate(world, pem)

    assert world.read(settings=settings).status == "ok"


def test_an_unregistered_certificate_is_named(rig: Begin, tmp_path: Path) -> None:
    """A certificate that the application does not know has its own word."""
    world = rig()
    other = tmp_path / "other"
    prepare(other)

    result = world.read(settings=_with_certificate(world, other / "app.pem"))

    assert (result.status, result.error_code) == ("failed", "certificate_unknown")


def _with_certificate(world: Rig, pem: Path) -> Settings:
    connection = world.connection().model_copy(update={"client_secret": None, "certificate": SecretRef(file=pem)})
    return world.settings.model_copy(update={"connections": (connection,)})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda pem: pem.split("-----BEGIN CERT")[0], "one private key and its certificate"),
        (lambda pem: "-----BEGIN CERT" + pem.split("-----BEGIN CERT")[1], "one private key and its certificate"),
        (lambda pem: re.sub("M[A-Z]", "@", pem), "not a readable PEM"),
        (lambda _: "hello", "one private key and its certificate"),
    ],
)
def test_a_bad_pem_file_is_a_configuration_error(certificates: Path, spoil: Callable[[str], str], words: str) -> None:
    """Half a PEM file, or a damaged one, is named with its key; nothing of it is quoted."""
    pem = (certificates / "app.pem").read_text()
    start = pem.index("-----BEGIN PRIVATE") if "-----BEGIN PRIVATE" in pem else 0
    ordered = pem[start:] + pem[:start]

    with pytest.raises(ConfigError, match=words) as caught:
        certificate(spoil(ordered), "connections['x'].certificate")
    assert "connections['x'].certificate" in str(caught.value)


def test_a_key_that_signs_no_assertion_is_a_configuration_error() -> None:
    """Microsoft's assertions are signed with RSA; a key of another kind is named before anybody is asked."""
    pem = (
        ec.generate_private_key(ec.SECP256R1())
        .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        .decode()
        + "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n"
    )
    with pytest.raises(ConfigError, match="RSA"):
        certificate(pem, "connections['x'].certificate")


def test_a_certificate_of_another_key_is_refused(certificates: Path, tmp_path: Path) -> None:
    """Key and certificate must belong together."""
    prepare(tmp_path / "other")
    mine, other = (certificates / "app.pem").read_text(), (tmp_path / "other" / "app.pem").read_text()
    key = mine[mine.index("-----BEGIN PRIVATE") :].split("-----BEGIN CERT")[0]
    foreign = other[other.index("-----BEGIN CERT") :].split("-----BEGIN PRIVATE")[0]

    with pytest.raises(ConfigError, match="does not belong"):
        certificate(key + foreign, "c")


def test_an_unknown_tenant_is_named(rig: Begin) -> None:
    """A tenant that does not exist is told from one that has not consented."""
    world = rig()

    result = world.read(world.target(stable_id("nobody")))

    assert (result.status, result.error_code) == ("failed", "tenant_not_found")


def test_a_wrong_ca_is_named_and_not_retried(rig: Begin, tmp_path: Path) -> None:
    """A certificate nobody vouches for is told from an unreachable host, and the remedy is tls.ca_bundle."""
    world = rig()
    prepare(tmp_path / "other")

    result = world.read(settings=world.configured(ca_bundle=str(tmp_path / "other" / "ca.pem")))

    assert (result.status, result.error_code) == ("failed", "tls")
    assert "tls.ca_bundle" in str(result.remedy)


def test_our_ca_bundle_wins_over_the_environment(rig: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REQUESTS_CA_BUNDLE, which requests prefers to a session's own, does not break a private CA."""
    world = rig()
    prepare(tmp_path / "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "other" / "ca.pem"))

    assert world.read().status == "ok"


def test_a_missing_ca_bundle_is_a_configuration_error(rig: Begin, tmp_path: Path) -> None:
    """A CA bundle that is not there is named, without a traceback."""
    world = rig()

    result = world.read(settings=world.configured(ca_bundle=str(tmp_path / "none.pem")))

    assert (result.status, result.error_code) == ("failed", "config")


def test_a_netrc_file_is_not_asked(rig: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password for the host in .netrc does not take the token's place."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine localhost login me password mine")
    monkeypatch.setenv("NETRC", str(netrc))

    assert rig().read().status == "ok"


def test_an_unreachable_host_is_named(rig: Begin) -> None:
    """A closed port fails the tenant with the network as remedy."""
    world = rig()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"https://localhost:{probe.getsockname()[1]}"
        connection = world.connection().model_copy(update={"login_url": nobody})
        settings = world.settings.model_copy(update={"connections": (connection,)})

        result = world.read(settings=settings)

    assert (result.status, result.error_code) == ("failed", "unreachable")
    assert "network" in str(result.remedy)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("login", "throttle", calls=(1, 3), retry_after="1"),
        Fault("login", "status", calls=(1, 2, 4), status=503),
        Fault("login", "status", calls=(2,), status=502),
        Fault("login", "html_200", calls=(1, 3)),
        Fault("login", "truncated", calls=(1,)),
        Fault("login", "reset", calls=(2,)),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_passing_trouble_at_sign_in_is_waited_out(rig: Begin, fault: Fault) -> None:
    """Discovery and token requests are tried again like any other; msal replays no old refusal."""
    world = rig()
    world.fail(fault)

    assert world.read().status == "ok"


def test_lasting_trouble_at_sign_in_is_transient(rig: Begin) -> None:
    """A sign-in service that stays down fails the tenant with a word that says it may pass."""
    world = rig()
    world.fail(Fault("login", "status", status=503))

    result = world.read()

    assert (result.status, result.error_code) == ("failed", "bad_answer")


def test_something_else_at_the_sign_in_address_is_recognised(script: Script) -> None:
    """A server that is not Microsoft's sign-in gives a remedy, not a traceback."""
    for path in ("/organization", "/users"):
        script.answers[path] = answer({"value": []})
    result = script.read(login_url=f"{script.url}/nothing/here")

    assert result.status == "failed"
    assert result.remedy


def test_the_partners_own_tenant_signs_in_with_its_own_code(rig: Begin) -> None:
    """In the application's own tenant an unknown application is a wrong id, not a missing consent."""
    world = rig()
    connection = world.connection().model_copy(update={"client_id": stable_id("another app")})
    settings = world.settings.model_copy(update={"connections": (connection,)})

    own = world.read(world.target(world.simulator.partner.tenant_id), settings)
    customer = world.read(settings=settings)

    assert (own.status, own.error_code) == ("failed", "app_not_found")
    assert (customer.status, customer.error_code) == ("not_consented", "not_consented")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (7000215, "secret_wrong"),
        (7000222, "secret_expired"),
        (700027, "certificate_unknown"),
        (7000229, "not_consented"),
        (65001, "not_consented"),
        (650051, "not_consented"),
        (50194, "single_tenant"),
        (700016, "not_consented"),
        (90002, "tenant_not_found"),
        (900023, "tenant_invalid"),
        (53003, "conditional_access"),
        (5000224, "tenant_unavailable"),
        (500011, "resource_not_found"),
        (123456, "auth_failed"),
    ],
)
@pytest.mark.parametrize("form", ["codes", "text"])
def test_every_refusal_has_its_word(number: int, code: str, form: str) -> None:
    """The number is found in error_codes or in the text, and each has a remedy."""
    body = {"error_codes": [number]} if form == "codes" else {"error_description": f"AADSTS{number}: No. Trace ID: 1"}

    error = sign_in_error(body, "https://consent", own_tenant=False)

    assert isinstance(error, SignInError)
    assert error.code == code
    assert error.remedy


@pytest.mark.parametrize("number", [7000229, 65001, 650051, 700016])
def test_a_missing_consent_says_that_it_takes_minutes(number: int) -> None:
    """Whoever consented a minute ago is answered the same: the remedy says to wait and to run doctor."""
    error = sign_in_error({"error_codes": [number]}, "https://consent", own_tenant=False)

    assert "https://consent " in error.remedy
    assert "a few minutes" in error.remedy
    assert "o365-etl doctor" in error.remedy


@pytest.mark.parametrize("number", [700016, 50194])
def test_an_application_for_one_tenant_alone_is_suspected(number: int) -> None:
    """A customer's tenant that does not know the application may never be able to: what to change is named."""
    assert "multiple Entra ID tenants" in sign_in_error({"error_codes": [number]}, "", own_tenant=False).remedy


@pytest.mark.parametrize("refusal", [700016, 50194, 650051])
def test_a_tenant_that_refuses_every_sign_in(rig: Begin, refusal: int) -> None:
    """What the numbers mean over the wire: no consent yet is no failure, an application of one tenant is."""
    result = rig(SimTenant("Contoso", users=people(1), refusal=refusal)).read()

    assert result.status == ("failed" if refusal == 50194 else "not_consented")


@pytest.mark.parametrize("body", [{"error_codes": [90033]}, {"error": "temporarily_unavailable"}])
def test_a_refusal_that_passes_is_transient(body: dict[str, object]) -> None:
    """Codes that ask to come back later are worth another sync."""
    assert isinstance(sign_in_error(body, "", own_tenant=True), TransientError)


def test_an_unknown_refusal_keeps_its_text_without_ids() -> None:
    """The service's words are kept for the person who looks, ids and names are not."""
    text = (
        "AADSTS50105: User 'anna@contoso.example' 0badc0de-0000-4000-8000-000000000000 is not assigned to a role "
        "for bo@contoso.example.\r\nTrace ID: 1\r\nTimestamp: 2026"
    )

    error = sign_in_error({"error_description": text}, "", own_tenant=True)

    assert "AADSTS50105" in error.message
    assert "is not assigned" in error.message
    for secret in ("anna", "bo@", "0badc0de", "Trace"):
        assert secret not in error.message


def test_the_landing_never_holds_a_secret(rig: Begin) -> None:
    """Neither secret nor token is written anywhere by a read."""
    world = rig()
    world.read()
    secret = world.simulator.partner.client_secret.encode()

    assert not [path for path in world.landing.root.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_settings_of_a_direct_connection_sign_in(rig: Begin) -> None:
    """A direct tenant signs in with the application of its own."""
    world = rig(SimTenant("Contoso", users=people(2), direct=True, listed_in="none"))
    connection: Connection = next(c for c in world.settings.connections if c.kind == "direct")

    result = world.read(TenantTarget(tenant_id=connection.tenant_id, connection=connection.name, kind="direct"))

    assert result.status == "ok"


def test_the_sign_in_document_of_one_tenant_serves_the_others(rig: Begin) -> None:
    """They differ in the tenant's id alone: one thread asks once, and each tenant signs in at its own address."""
    world = rig(*(SimTenant(f"Tenant {n}", users=people(1)) for n in range(3)))
    with world.session(threads=1) as session:
        results = read_tenants(session, [world.target(tenant) for tenant in world.estate.tenants], world.landing, "one")

    assert [result.status for result in results] == ["ok"] * 3
    asked = [record.path for record in world.simulator.requests if record.service == "login"]
    assert sum(path.endswith("openid-configuration") for path in asked) == 1
    signed_in = {path.split("/")[1] for path in asked if path.endswith("/token")}
    assert signed_in == {tenant.tenant_id for tenant in world.estate.tenants}


def test_a_tenant_that_does_not_exist_is_told_by_its_sign_in(rig: Begin) -> None:
    """Its document is made of another tenant's, so it is the token that is refused."""
    world = rig(SimTenant("Contoso", users=people(1)))
    nobody = "00000000-0000-4000-8000-00000000dead"

    with world.session(threads=1) as session:
        targets = [world.target(world.estate.tenants[0]), world.target(nobody)]
        there, gone = read_tenants(session, targets, world.landing, "one")

    assert there.status == "ok"
    alone = world.read(world.target(nobody))
    assert (gone.status, gone.error_code, gone.remedy) == (alone.status, alone.error_code, alone.remedy)
    assert gone.error_code == "tenant_not_found"


@pytest.mark.parametrize(
    ("told", "asked", "is_known"),
    [
        (f"/{{one}}{DOCUMENT}", f"/{{two}}{DOCUMENT}", True),
        (f"/{{one}}{DOCUMENT}", f"/contoso.example{DOCUMENT}", False),
        (f"/contoso.example{DOCUMENT}", f"/{{two}}{DOCUMENT}", False),
        (f"/other/{{one}}{DOCUMENT}", f"/{{two}}{DOCUMENT}", False),
        ("/{one}/discovery/instance", "/{two}/discovery/instance", False),
    ],
)
def test_only_what_differs_by_the_tenants_id_is_made_of_another(told: str, asked: str, is_known: bool) -> None:
    """Not what is named by a domain, not another authority's, not another document."""
    one, two = stable_id("one"), stable_id("two")
    base = "https://login.example"
    documents = SignInDocuments()
    body = f'{{"token_endpoint":"{base}/{one}/oauth2/v2.0/token"}}'.encode()
    documents.keep(base + told.format(one=one), Answer(200, {}, body, base))

    found = documents.get(base + asked.format(two=two))

    assert (found is not None) is is_known
    if found is not None:
        assert found.body == body.replace(one.encode(), two.encode())


def test_a_document_that_does_not_name_its_tenant_is_not_passed_on() -> None:
    """Nothing in it could be put in the other's place."""
    url = f"https://login.example/{{}}{DOCUMENT}"
    documents = SignInDocuments()
    documents.keep(url.format(stable_id("one")), Answer(200, {}, b'{"token_endpoint":"https://x.example/t"}', ""))
    assert documents.get(url.format(stable_id("two"))) is None
