"""The doctor: each trouble is found, says what to do, and breaks nothing else; a healthy world has none."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from o365_etl.config import ItGlue, SecretRef
from o365_etl.errors import ConfigError
from o365_etl.itglue.probe import region_in_use
from o365_etl.pipeline import watching
from o365_etl.pipeline.doctor import Finding, examine
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.simulator import (
    PARTNER_ROLES,
    READER_ROLES,
    Estate,
    Fault,
    SimOrganization,
    SimRelationship,
    SimTenant,
    Simulator,
    SimUser,
)
from o365_etl.simulator.certificates import prepare
from tests.conftest import World

Start = Callable[..., World]
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys take long to make: one set for all worlds of this module."""
    folder = tmp_path_factory.mktemp("certificates")
    prepare(folder)
    return folder


@pytest.fixture
def start(tmp_path: Path, certificates: Path) -> Iterator[Start]:
    """Starts a simulator on an estate and makes an installation for it; any number of them."""
    with ExitStack() as stack:

        def begin(estate: Estate) -> World:
            folder = tmp_path / f"world-{len(list(tmp_path.glob('world-*')))}"
            shutil.copytree(certificates, folder / "simulator")
            return World(stack.enter_context(Simulator(estate, folder=folder / "simulator")), folder)

        yield begin


def doctor(world: World, *tenants: str, later: dt.timedelta = dt.timedelta(0)) -> list[Finding]:
    """Examine without opening the workspace first, as the command does."""
    return examine(Workspace(world.settings), tenants, clock=lambda: now() + later)


def troubles(found: list[Finding]) -> dict[tuple[str, str], Finding]:
    """Errors and warnings by subject and code; each must have something to say."""
    wrong = {(finding.name, finding.code): finding for finding in found if finding.level in ("error", "warning")}
    for finding in wrong.values():
        assert finding.what
        assert finding.why
        assert finding.mend
    return wrong


def one(found: list[Finding], code: str) -> Finding:
    """The only finding of this code."""
    [finding] = [finding for finding in found if finding.code == code]
    return finding


def world_with(start: Start, *tenants: SimTenant, **partner: object) -> World:
    """A world of these tenants."""
    own = SimTenant("The MSP", listed_in="none", **({"roles": PARTNER_ROLES} | partner))  # type: ignore[arg-type]
    return start(Estate.build(tenants=tenants, partner=own, organizations=[SimOrganization("Contoso")]))


def people() -> list[SimUser]:
    return [SimUser.person("Anna", "Berg", "contoso.example")]


def credential(world: World, line: str) -> None:
    """Sign in with something else than the partner's secret."""
    text = world.config.read_text()
    old = next(row for row in text.splitlines() if row.startswith("client_secret"))
    world.config.write_text(text.replace(old, line))


# --- nothing wrong


def test_a_healthy_world_before_anything_was_synced(start: Start, contoso: Estate) -> None:
    """With an empty data folder every subject is in order, and the tenants are known by the partner's names."""
    found = doctor(start(contoso))

    assert troubles(found) == {}
    healthy = {(finding.kind, finding.name) for finding in found if finding.level == "ok"}
    tenants = {("tenant", "Contoso"), ("tenant", "Fabrikam Ltd")}
    assert healthy == tenants | {("machine", "this machine"), ("itglue", "IT Glue"), ("connection", "partner")}
    assert "never_synced" in {finding.code for finding in found}


def test_nothing_is_written_and_nobody_is_read(start: Start, contoso: Estate) -> None:
    """IT Glue is asked for one page of organizations, Microsoft for no user; no warehouse comes into being."""
    world = start(contoso)
    doctor(world)

    requests = world.simulator.requests
    itglue = [(record.method, record.path) for record in requests if record.service == "itglue"]
    assert itglue == [("GET", "/organizations")]
    assert {record.method for record in requests if record.service == "graph"} == {"GET"}
    assert not [record.path for record in requests if "/users" in record.path]
    assert not list(world.workspace.data_dir.glob("*.duckdb"))


def test_a_sync_that_is_running_is_not_in_the_way(start: Start, contoso: Estate) -> None:
    """The lock is held and the warehouse open: what can be looked at is."""
    world = start(contoso)
    world.sync()
    workspace = world.workspace
    with workspace.writing("run-x", "test", wait_seconds=1), workspace.tables():
        assert troubles(doctor(world)) == {}


# --- tenants


def test_a_tenant_without_consent_is_a_warning_with_the_link(start: Start) -> None:
    """The link is the tenant's own: it can be sent as it stands."""
    world = world_with(start, SimTenant("Contoso", consented=False))
    finding = one(doctor(world), "not_consented")

    tenant = world.simulator.estate.tenants[0]
    link = f"{world.simulator.login_url}/{tenant.tenant_id}/adminconsent?client_id={world.simulator.partner.client_id}"
    assert finding.level == "warning"
    assert link in finding.mend
    assert finding.tenant_id == tenant.tenant_id


def test_a_customer_that_left_and_one_that_was_deleted(start: Start) -> None:
    """Both are listed no more; only of the second Microsoft says that it is gone."""
    world = world_with(start, SimTenant("Left", users=people()), SimTenant("Gone"), SimTenant("Stays"))
    world.sync()
    estate = world.simulator.estate
    left, gone, _ = estate.tenants
    left.listed_in = "none"
    estate.tenants.remove(gone)
    estate.touch()
    found = troubles(doctor(world))

    assert set(found) == {("Left", "not_listed"), ("Gone", "tenant_not_found")}
    assert "Renew the relationship" in found["Left", "not_listed"].mend
    assert gone.tenant_id in found["Gone", "tenant_not_found"].mend
    assert "exclude_tenants" in found["Gone", "tenant_not_found"].mend


def test_an_excluded_tenant_is_not_asked(start: Start) -> None:
    """Whoever follows the mend for a deleted customer hears no more of it."""
    world = world_with(start, SimTenant("Contoso", consented=False), SimTenant("Other"))
    tenant_id = world.simulator.estate.tenants[0].tenant_id
    world.configure(f'[selection]\nexclude_tenants = ["{tenant_id}"]')

    assert {finding.name for finding in doctor(world) if finding.kind == "tenant"} == {"Other"}


@pytest.mark.parametrize(
    ("role", "level", "stream"),
    [
        ("User.Read.All", "error", "users"),
        ("Domain.Read.All", "error", "domains"),
        ("Reports.Read.All", "warning", "mailboxes"),
        ("MailboxSettings.Read", "warning", "mailboxes"),
        ("AuditLog.Read.All", "warning", "sign_ins"),
    ],
)
def test_a_missing_permission_says_which_stream_and_how_to_consent(
    start: Start, role: str, level: str, stream: str
) -> None:
    """What a sync fails without is an error, the rest a warning; both bring the consent link."""
    roles = tuple(each for each in READER_ROLES if each != role)
    world = world_with(start, SimTenant("Contoso", users=people(), roles=roles))
    finding = one(doctor(world), "missing_permission")

    assert finding.level == level
    assert f"{role} ({stream})" in finding.what
    assert "adminconsent" in finding.mend


def test_rights_to_write_are_a_warning(start: Start) -> None:
    """Named, and where they are revoked."""
    roles = (*READER_ROLES, "User.ReadWrite.All", "Mail.Send", "Group.Read.All")
    world = world_with(start, SimTenant("Contoso", users=people(), roles=roles))
    found = doctor(world)

    writing = one(found, "write_permission")
    assert writing.level == "warning"
    assert "Mail.Send, User.ReadWrite.All" in writing.what
    assert "Enterprise applications" in writing.mend
    assert "Group.Read.All" in next(f for f in found if f.kind == "tenant" and f.code == "excess_permission").what


def test_a_permission_that_is_granted_and_refused_is_a_policy(start: Start) -> None:
    """Granting it again would not help, so nobody is told to."""
    world = world_with(start, SimTenant("Contoso", users=people()))
    world.add_fault(Fault("graph", "status", path="reportSettings", status=403))
    finding = one(doctor(world), "forbidden")

    assert finding.level == "warning"
    assert "policy" in finding.mend
    assert "adminconsent" not in finding.mend


def test_concealed_reports_say_where_to_switch_it_off(start: Start) -> None:
    """The place in the admin center, and that figures stay unknown."""
    world = world_with(start, SimTenant("Contoso", users=people(), concealed=True))
    finding = one(doctor(world), "concealed")

    assert finding.level == "warning"
    assert "Org settings > Services > Reports" in finding.mend


def test_a_tenant_without_premium_is_a_note(start: Start) -> None:
    """Nobody has to do anything: the tenant counts as healthy."""
    user = SimUser.person("Anna", "Berg", "contoso.example", skus=["O365_BUSINESS_PREMIUM"])
    world = world_with(start, SimTenant("Contoso", users=[user]))
    found = doctor(world)

    assert one(found, "no_premium").level == "note"
    assert troubles(found) == {}


def test_relationships_that_end_within_sixty_days(start: Start) -> None:
    """The date, and the relationship's page in Partner Center; a day later than that nothing is said."""

    def ending(name: str, days: int) -> SimTenant:
        return SimTenant(name, relationships=[SimRelationship(ends_at=now() + days * DAY, auto_extend="PT0S")])

    found = troubles(doctor(world_with(start, ending("Soon", 59), ending("Later", 62))))

    assert set(found) == {("Soon", "access_ends")}
    finding = found["Soon", "access_ends"]
    assert f"{now() + 59 * DAY:%Y-%m-%d}" in finding.what
    assert "partner.microsoft.com" in finding.mend
    assert "/adminrelationships/" in finding.mend


def test_one_tenant_that_fails_costs_no_other(start: Start) -> None:
    """A server that answers 500 for one tenant: that one is a warning, the other in order."""
    world = world_with(start, SimTenant("Contoso"), SimTenant("Fabrikam"))
    tenant_id = world.simulator.estate.tenants[0].tenant_id
    world.add_fault(Fault("graph", "status", tenant_id=tenant_id, path="organization", status=400))
    found = doctor(world)

    assert set(troubles(found)) == {("Contoso", "unsupported")}
    assert ("Fabrikam", "ok") in {(finding.name, finding.code) for finding in found}


def test_a_quarantined_tenant_that_answers_again_is_let_go(start: Start) -> None:
    """Once; a tenant that still fails stays where it is."""
    world = world_with(start, SimTenant("Back"), SimTenant("Still", consented=False))
    back, still = world.simulator.estate.tenants
    at = now()
    row = {"connection": "partner", "error_code": "not_consented", "remedy": "", "failing_since": at, "failures": 5}
    row |= {"next_try_at": at + DAY, "credential": "x"}
    store = world.workspace.state.quarantine
    store.note([row | {"tenant_id": each.tenant_id} for each in (back, still)])
    found = doctor(world)

    assert [(finding.name, finding.level) for finding in found if finding.code == "released"] == [("Back", "note")]
    assert [each["tenant_id"] for each in store.paused(at)] == [still.tenant_id]
    assert not [finding for finding in doctor(world) if finding.code == "released"]


# --- which tenants


def test_only_the_tenants_that_are_named(start: Start, contoso: Estate) -> None:
    """By name in any case, by domain once it was read, by id; the others are not asked."""
    world = start(contoso)
    world.sync()
    tenant_id = contoso.tenants[0].tenant_id
    for name in ("cONTOSO", "contoso.example", "contoso.onmicrosoft.com", tenant_id):
        found = doctor(world, name)
        assert {finding.tenant_id for finding in found if finding.kind == "tenant"} == {tenant_id}


def test_a_tenant_that_nobody_knows_is_a_usage_error(start: Start, contoso: Estate) -> None:
    """One word wrong is told, and not answered with nothing."""
    with pytest.raises(ConfigError, match="nobody"):
        doctor(start(contoso), "Contoso", "nobody")


def test_a_tenant_of_a_connection_that_cannot_list_is_not_called_unknown(start: Start, contoso: Estate) -> None:
    """The connection's own trouble is the answer."""
    world = start(contoso)
    credential(world, 'client_secret = { env = "NOT_SET_ANYWHERE" }')

    assert set(troubles(doctor(world, "Contoso"))) == {("partner", "config")}


# --- connections


def test_a_wrong_secret_is_told_once_and_not_for_each_tenant(start: Start, contoso: Estate) -> None:
    """After a sync the tenants are known, but asking them with the same secret would say the same."""
    world = start(contoso)
    world.sync()
    (world.folder / "bad").write_text("not-the-secret")
    credential(world, 'client_secret = { file = "bad" }')
    found = troubles(doctor(world))

    assert set(found) == {("partner", "secret_wrong")}
    assert found["partner", "secret_wrong"].level == "error"


def test_an_expired_secret_is_the_connections(start: Start) -> None:
    """Of a direct tenant too: it is the application that has to be mended, not the tenant."""
    world = world_with(start, SimTenant("Contoso", direct=True, listed_in="none", secret_state="expired"))
    finding = one(doctor(world), "secret_expired")

    assert (finding.kind, finding.level) == ("connection", "error")
    assert "client secret" in finding.mend


def test_a_direct_tenant_without_consent_is_the_tenants(start: Start) -> None:
    """The link goes to the tenant's administrator."""
    world = world_with(start, SimTenant("Contoso", direct=True, listed_in="none", consented=False))
    finding = one(doctor(world), "not_consented")

    assert (finding.kind, finding.level) == ("tenant", "warning")
    assert "adminconsent" in finding.mend


@pytest.mark.parametrize(
    ("days", "code", "level"),
    [
        (30, "secret_ends", "warning"),
        (61, None, None),
        (-1, "secret_date_passed", "warning"),
        (None, "secret_end_unknown", "note"),
    ],
)
def test_the_end_of_a_secret(start: Start, contoso: Estate, days: int | None, code: str | None, level: str) -> None:
    """Near: make another. Past, and it still works: the date is wrong. Not known: a note how to make it known."""
    world = start(contoso)
    if days is not None:
        world.configure(f"secret_expires = {now() + days * DAY:%Y-%m-%d}")
    found = {finding.code: finding for finding in doctor(world) if finding.code.startswith("secret")}

    assert set(found) == ({code} if code else set())
    if code:
        assert found[code].level == level
        assert found[code].mend


@pytest.mark.parametrize(
    ("days", "code", "level"),
    [(30, "certificate_ends", "warning"), (-1, "certificate_expired", "error"), (90, None, None)],
)
def test_the_end_of_a_certificate_is_read_from_the_file(
    start: Start, contoso: Estate, days: int, code: str | None, level: str
) -> None:
    """Before anybody is asked, so that the reason is known although sign-in refuses."""
    world = start(contoso)
    (world.folder / "own.pem").write_bytes(_pem(rsa.generate_private_key(65537, 2048), now() + days * DAY))
    credential(world, 'certificate = { file = "own.pem" }')
    found = {finding.code: finding for finding in doctor(world) if finding.code.startswith("certificate_e")}

    assert set(found) == ({code} if code else set())
    if code:
        assert found[code].level == level
        assert f"{now() + days * DAY:%Y-%m-%d}" in found[code].what


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, end: dt.datetime) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "app")])
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = made.not_valid_before(end - 700 * DAY).not_valid_after(end).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return signed.public_bytes(serialization.Encoding.PEM) + private


@pytest.mark.parametrize("kind", ["nothing", "elliptic"])
def test_a_file_that_is_no_certificate_for_microsoft(start: Start, contoso: Estate, kind: str) -> None:
    """The key and the mend, and no traceback."""
    world = start(contoso)
    elliptic = _pem(ec.generate_private_key(ec.SECP256R1()), now() + 300 * DAY)
    (world.folder / "own.pem").write_bytes(b"no certificate" if kind == "nothing" else elliptic)
    credential(world, 'certificate = { file = "own.pem" }')
    finding = troubles(doctor(world))["partner", "config"]

    assert finding.level == "error"
    assert "certificate" in finding.what
    assert kind == "nothing" or "RSA" in finding.mend


def test_a_clock_ten_minutes_off(start: Start) -> None:
    """With a certificate sign-in is refused, and the clock is named as the reason; with a secret it is a warning."""
    world = world_with(start, SimTenant("Contoso"), clock_ahead=660)
    warned = doctor(world)
    assert set(troubles(warned)) == {("this machine", "clock")}
    assert "11 minutes behind" in one(warned, "clock").what
    assert one(warned, "clock").level == "warning"

    credential(world, f'certificate = {{ file = "{world.simulator.partner.certificate_pem}" }}')
    refused = doctor(world)
    assert one(refused, "clock").level == "error"
    assert "NTP" in one(refused, "clock").mend
    connection = [finding for finding in refused if finding.kind == "connection"]
    assert [finding.level for finding in connection] == ["error"]
    assert "valid time range" in connection[0].what or "clock" in connection[0].mend


@pytest.mark.parametrize(("seconds", "words"), [(40, None), (-40, None), (-200, "3 minutes ahead of"), (90, "behind")])
def test_a_clock_that_is_a_little_off(start: Start, seconds: int, words: str | None) -> None:
    """Below a minute nobody is bothered; the direction is told."""
    found = doctor(world_with(start, SimTenant("Contoso"), clock_ahead=seconds))
    told = [finding.what for finding in found if finding.code == "clock"]

    assert [words in what for what in told if words] == ([True] if words else [])
    assert len(told) == (words is not None)


def test_a_partner_that_may_list_nobody_and_one_with_half_the_lists(start: Start) -> None:
    """Nothing at all is an error, one of two a note."""
    none = doctor(world_with(start, SimTenant("Contoso"), roles=READER_ROLES))
    finding = one([each for each in none if each.kind == "connection"], "missing_permission")
    assert finding.level == "error"
    assert "Directory.Read.All or DelegatedAdminRelationship.Read.All" in finding.what

    half = doctor(world_with(start, SimTenant("Contoso"), roles=(*READER_ROLES, "Directory.Read.All")))
    finding = one([each for each in half if each.kind == "connection"], "missing_permission")
    assert finding.level == "note"
    assert troubles(half) == {}


def test_a_list_that_breaks_off_loses_no_tenant(start: Start, contoso: Estate) -> None:
    """Tenants known from before are asked all the same, and nobody is called not listed."""
    world = start(contoso)
    world.sync()
    world.add_fault(Fault("graph", "loop", path="/contracts"))
    world.add_fault(Fault("graph", "status", path="delegatedAdmin", status=403))
    found = doctor(world)

    codes = {(finding.kind, finding.code) for finding in found if finding.level == "error"}
    assert ("tenant", "not_listed") not in codes
    names = {finding.name for finding in found if finding.kind == "tenant"}
    assert names == {"Contoso", "Fabrikam Ltd"}


def test_nobody_at_the_authority(start: Start, contoso: Estate) -> None:
    """The network is named, not the secret."""
    world = start(contoso)
    text = world.config.read_text()
    world.config.write_text(
        text.replace(f'login_url = "{world.simulator.login_url}"', 'login_url = "https://127.0.0.1:9"')
    )
    finding = troubles(doctor(world))["partner", "unreachable"]

    assert finding.level == "error"
    assert "network" in finding.mend


def test_a_paused_connection_is_not_asked(start: Start, contoso: Estate) -> None:
    """A note how to go on; its tenants are left alone, and not called unlisted."""
    world = start(contoso)
    world.sync()
    world.configure("paused = true")
    world.simulator.reset_log()
    found = doctor(world)

    assert troubles(found) == {}
    assert "--resume" in one(found, "paused").mend
    assert world.simulator.count("graph") + world.simulator.count("login") == 0


def test_without_a_connection_there_is_nothing_to_do(start: Start, contoso: Estate) -> None:
    """An error that names the command."""
    world = start(contoso)
    world.config.write_text(world.config.read_text().partition("[[connections]]")[0])

    assert "connect" in troubles(doctor(world))["none", "no_connection"].mend


# --- IT Glue


def test_a_key_that_is_not_accepted(start: Start, contoso: Estate) -> None:
    """A wrong key, or one of another region, which IT Glue does not tell apart: both are named, with the address."""
    world = start(contoso)
    (world.simulator.folder / "itglue_api_key").write_text("ITG.wrong")
    finding = troubles(doctor(world))["IT Glue", "itglue_key"]

    assert finding.level == "error"
    assert "itglue.region" in finding.mend
    assert "itglue.base_url" in finding.mend
    assert "ITG.wrong" not in str(finding)


def test_the_region_in_use_and_the_others_are_named() -> None:
    """Whoever has the wrong one sees which there are."""
    settings = ItGlue(region="eu", api_key=SecretRef(env="X"))

    assert region_in_use(settings) == "The region in use is eu; the others are us, au."


def test_a_missing_key(start: Start, contoso: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by its key; the rest is examined all the same."""
    monkeypatch.setenv("O365_ETL_ITGLUE__API_KEY", '{ env = "NOT_SET_ANYWHERE" }')
    found = doctor(start(contoso))

    assert "NOT_SET_ANYWHERE" in troubles(found)["IT Glue", "config"].what
    assert ("Contoso", "ok") in {(finding.name, finding.code) for finding in found}


def test_an_account_without_organizations(start: Start) -> None:
    """The key is valid, and of no use."""
    found = doctor(start(Estate.build(tenants=[SimTenant("Contoso")])))

    assert "no organization" in troubles(found)["IT Glue", "no_organizations"].what


def test_whether_the_key_may_write_is_not_tried(start: Start, contoso: Estate) -> None:
    """Said to whoever wants to write, and to nobody else."""
    world = start(contoso)
    assert not [finding for finding in doctor(world) if finding.code == "write_unknown"]
    world.config.write_text(world.config.read_text().replace('mode = "plan"', 'mode = "apply"'))

    assert one(doctor(world), "write_unknown").level == "note"


# --- this machine


@pytest.mark.parametrize("folder", ["blocked/data", "/proc/o365"])
def test_a_data_folder_that_cannot_be_written(start: Start, contoso: Estate, folder: str) -> None:
    """A finding like any other, and the rest is looked at."""
    world = start(contoso)
    (world.folder / "blocked").write_text("a file")
    world.config.write_text(world.config.read_text().replace('data_dir = "data"', f'data_dir = "{folder}"'))
    found = doctor(world)

    assert set(troubles(found)) == {("this machine", "data_dir")}
    assert one(found, "data_dir").level == "error"
    assert ("Contoso", "ok") in {(finding.name, finding.code) for finding in found}


def test_a_disk_that_is_nearly_full(start: Start, contoso: Estate) -> None:
    """More is needed than is free: the copy would not fit a second time."""
    world = start(contoso)
    world.sync()
    disk = os.statvfs(world.workspace.data_dir)
    os.truncate(world.workspace.published, disk.f_bavail * disk.f_frsize + 10 * 1024**3)
    assert one(doctor(world), "disk").level == "error"

    os.truncate(world.workspace.published, max(disk.f_bavail * disk.f_frsize - 512 * 1024**2, 0))
    assert one(doctor(world), "disk").level == "warning"


def test_a_copy_that_grew_old(start: Start, contoso: Estate) -> None:
    """After the third hourly sync that did not come; not after the first."""
    world = start(contoso)
    world.sync()

    assert "stale" not in {finding.code for finding in doctor(world, later=dt.timedelta(minutes=110))}
    finding = one(doctor(world, later=dt.timedelta(minutes=185)), "stale")
    assert finding.level == "error"
    assert "daemon" in finding.mend


def test_a_daily_schedule_makes_nothing_stale_in_an_evening(start: Start, contoso: Estate) -> None:
    """What counts are the syncs that were due."""
    world = start(contoso)
    world.configure('[schedule]\ncron = "0 3 * * *"\ntimezone = "Europe/Berlin"')
    world.sync()

    assert "stale" not in {finding.code for finding in doctor(world, later=dt.timedelta(hours=40))}
    assert "stale" in {finding.code for finding in doctor(world, later=dt.timedelta(hours=73))}


@pytest.mark.parametrize(
    ("file", "code"),
    [("warehouse.duckdb", "warehouse_damaged"), ("o365.duckdb", "published_damaged"), ("state.sqlite", "state_")],
)
def test_a_file_that_is_broken(start: Start, contoso: Estate, file: str, code: str) -> None:
    """Named, with the mend, and nothing else is lost over it."""
    world = start(contoso)
    world.sync()
    (world.workspace.data_dir / file).write_bytes(b"not a database, by far " * 400)
    found = doctor(world)

    assert [key for key in troubles(found) if key[1].startswith(code)]
    assert all(finding.kind == "machine" for finding in troubles(found).values())
    assert {finding.name for finding in found if finding.kind == "tenant"} == {"Contoso", "Fabrikam Ltd"}


# --- order, and what else shows the same


def test_the_worst_comes_first(start: Start) -> None:
    """Within each kind of subject, and the findings of one subject stay together."""
    fine, bad = SimTenant("Aaa", users=people()), SimTenant("Zzz", roles=("Organization.Read.All", "Mail.Send"))
    names = [finding.name for finding in doctor(world_with(start, fine, bad)) if finding.kind == "tenant"]

    assert names == sorted(names, reverse=True)
    assert names[0] == "Zzz"


def test_every_word_is_explained_in_the_documentation() -> None:
    """Each code that the doctor has of its own has a line in docs/doctor.md."""
    root = Path(__file__).parents[2]
    page = (root / "docs" / "doctor.md").read_text(encoding="utf-8")
    found: set[str] = set()
    for module in ("findings", "machine", "surveying", "doctor"):
        text = (root / "o365_etl" / "pipeline" / f"{module}.py").read_text(encoding="utf-8")
        found |= set(re.findall(r'"(?:error|warning|note)"(?: if \w+(?: \w+ \w+)? else "\w+")?,\s*"([a-z_]+)"', text))
    assert len(found) > 12
    assert {code for code in found if f"`{code}`" not in page} == set()


def test_a_sync_keeps_the_same_verdict_and_the_check_shows_it(start: Start) -> None:
    """`sync.tenants` names what is missing and what is too much, and the check fails for it; NULL where not known."""
    roles = (*(role for role in READER_ROLES if role != "MailboxSettings.Read"), "Mail.Send")
    odd = SimTenant("Odd", users=people(), roles=roles)
    world = world_with(start, odd, SimTenant("Fine"), SimTenant("Never", consented=False))
    world.sync()
    rows = world.rows("SELECT display_name, missing_permissions, excess_permissions FROM sync.tenants ORDER BY ALL")

    assert rows == [
        ("Fine", "[]", "[]"),
        ("Never", None, None),
        ("Odd", json.dumps(["MailboxSettings.Read"]), json.dumps(["Mail.Send"])),
    ]
    finding = watching.rights_not_least(world.workspace)
    assert not finding.passed
    assert f"| {odd.tenant_id} | MailboxSettings.Read | Mail.Send |" in finding.markdown

    odd.roles = READER_ROLES
    world.sync()
    assert watching.rights_not_least(world.workspace).passed
