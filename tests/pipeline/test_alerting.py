"""Alerts: one message for each change of state, to every target, once; from a sync to a web service on loopback."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from o365_etl.errors import O365EtlError
from o365_etl.pipeline import alerting, deciding
from o365_etl.pipeline.workspace import now
from o365_etl.simulator import Estate, Fault, SimLicense, SimOrganization, SimSku, SimTenant, SimUser
from tests.conftest import World
from tests.receiver import NOT_OURS, TOKEN, Receiver, listen

pytestmark = NOT_OURS
Start = Callable[..., World]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def empty(start: Start, contoso: Estate) -> World:
    """An installation that never synced."""
    return start(contoso)


def tenant(name: str) -> SimTenant:
    return SimTenant(name, users=[SimUser.person("Di", "Falk", f"{name.lower()}.example")])


def look(world: World, at: datetime | None = None) -> alerting.Looked:
    return alerting.look(world.workspace, at)


def ran(world: World, run_id: str, status: str, tenants_ok: int | None = None) -> None:
    state = world.workspace.state
    state.start_run(run_id, "schedule", now())
    state.finish_run(run_id, now(), status, tenants_ok=tenants_ok)


def log_of(world: World, level: str | None = None) -> list[str]:
    entries = world.workspace.state.entries(level=level)
    return [entry["message"] for entry in entries if entry["message"].startswith("alert")]


def forbid(world: World, *tenants: SimTenant) -> None:
    for each in tenants:
        world.add_fault(Fault("graph", "status", tenant_id=each.tenant_id, path="/organization", status=403))


# --- tenants


def test_a_failing_tenant_is_one_message_and_so_is_its_recovery(start: Start, receiver: Receiver) -> None:
    """Three syncs that fail raise it once: at once for good reasons, at the second sync for one that may pass, softly
    for missing consent. The first sync that reads them again says so, once.
    """
    tenants = [tenant(name) for name in ("Alpha", "Beta", "Gamma", "Delta")]
    alpha, beta, gamma, _ = tenants
    estate = Estate.build(tenants=tenants, organizations=[SimOrganization("Other", 101)], contacts=[])
    world = start(estate)
    world.configure(listen(world.folder, receiver.address))
    world.sync()
    assert look(world) == alerting.Looked()

    users, beta.users, gamma.consented = beta.users, [], False
    estate.touch()
    forbid(world, alpha)
    told = []
    for _ in range(3):
        world.sync()
        look(world)
        look(world)
        told.append(receiver.titles)
        receiver.messages, seen = [], receiver.messages
        if len(told) == 1:
            first = seen
    assert told == [
        ["o365_etl: a tenant cannot be read", "o365_etl: a tenant waits for consent"],
        ["o365_etl: a tenant cannot be read"],
        [],
    ]
    assert [message["type"] for message in first] == ["warning", "info"]
    assert f"Alpha ({alpha.tenant_id}): forbidden, last read 20" in first[0]["message"]
    assert f"Gamma ({gamma.tenant_id})" in first[1]["message"]
    assert "/adminconsent?client_id=" in first[1]["message"]
    assert first[0]["message"].endswith("Look: o365-etl status")

    world.heal()
    beta.users, gamma.consented = users, True
    estate.touch()
    world.sync()
    looked = look(world)
    assert (len(looked.over), looked.sent) == (3, 2)
    assert look(world) == alerting.Looked()
    assert sorted(receiver.titles) == ["o365_etl: 2 tenants are read again", "o365_etl: a tenant is connected"]
    assert {message["type"] for message in receiver.messages} == {"success"}


def test_many_tenants_at_once_are_one_message(start: Start, receiver: Receiver) -> None:
    """Thirty failing tenants are one message of twenty lines that says how many there are."""
    tenants = [tenant(f"Tenant{number:02}") for number in range(31)]
    world = start(Estate.build(tenants=tenants, organizations=[SimOrganization("Other", 101)], contacts=[]))
    world.configure(listen(world.folder, receiver.address))
    forbid(world, *tenants[:30])
    world.sync()
    assert len(look(world).raised) == 30

    assert receiver.titles == ["o365_etl: 30 tenants cannot be read"]
    lines = receiver.messages[0]["message"].splitlines()
    assert lines[0].startswith("Tenant00 (")
    assert lines[20:] == ["and 10 more", "", "Look: o365-etl status"]

    # Nobody who pauses a connection has to hear that its tenants are read again.
    text = world.config.read_text(encoding="utf-8")
    world.config.write_text(text.replace('name = "partner"', 'name = "partner"\npaused = true'), encoding="utf-8")
    looked = look(world)
    assert (len(looked.over), looked.sent) == (30, 0)


def test_a_name_from_elsewhere_does_no_harm(start: Start, receiver: Receiver) -> None:
    """A tenant's name is one line, mentions nobody, and is no link with a text of its own."""
    evil = SimTenant("@everyone <!channel> [pay](https://evil.example)\r\nBcc: x" + "y" * 200, users=[])
    world = start(Estate.build(tenants=[evil, tenant("Other")], organizations=[], contacts=[]))
    world.configure(listen(world.folder, receiver.address))
    forbid(world, evil)
    world.sync()
    look(world)

    line = receiver.messages[0]["message"].splitlines()[0]
    assert evil.tenant_id in line
    assert not set("<>[]@") & set(line.split(evil.tenant_id)[0])
    assert line.index(evil.tenant_id) < 90


def test_what_cannot_be_looked_at_is_not_over(empty: World, receiver: Receiver) -> None:
    """Without the published copy nothing of it is over, and nothing is raised again when it is back."""
    world = empty
    world.configure(listen(world.folder, receiver.address))
    world.sync()
    assert look(world).raised
    copy = world.workspace.published
    copy.rename(copy.with_suffix(".away"))
    assert look(world) == alerting.Looked()
    copy.with_suffix(".away").rename(copy)
    assert look(world) == alerting.Looked()


# --- plans


def test_a_brake_is_told_when_pulled_and_when_released(empty: World, receiver: Receiver) -> None:
    """Its message says why, without a person's name; the approval of the plan releases it."""
    world = empty
    world.configure(listen(world.folder, receiver.address) + 'link = "https://desk.example/o365/"')
    world.sync()
    look(world)
    assert receiver.titles == ["o365_etl: a brake holds a plan"]
    assert "contacts changed (brakes.max_changed_share 0.3)" in receiver.messages[0]["message"]
    assert receiver.messages[0]["message"].endswith("https://desk.example/o365/plan")
    world.sync()
    assert look(world) == alerting.Looked()

    deciding.approve_plan(world.workspace, (), who="desk")
    look(world)
    assert receiver.titles[1:] == ["o365_etl: no brake holds a plan any more"]


def test_a_plan_that_waits_is_told_once(start: Start, contoso: Estate, receiver: Receiver) -> None:
    """In mode `plan` one message until the plan is approved, whose end is nothing to tell; in mode `apply` none."""
    world = start(contoso)
    world.configure(listen(world.folder, receiver.address))
    world.configure("[brakes]\nmax_changed_share = 1.0\nmax_field_share = 1.0")
    world.sync()
    look(world)
    assert receiver.titles == ["o365_etl: a plan waits for approval"]
    assert "in tenants: 1." in receiver.messages[0]["message"]
    world.sync()
    look(world)
    deciding.approve_plan(world.workspace, (), who="desk")
    assert look(world).over == ("plan",)
    assert len(receiver.messages) == 1

    text = world.config.read_text(encoding="utf-8")
    world.config.write_text(text.replace('mode = "plan"', 'mode = "apply"'), encoding="utf-8")
    assert look(world) == alerting.Looked()


# --- what ends, and what is not known


def test_the_end_of_a_secret_is_told_at_60_14_and_3_days(empty: World, receiver: Receiver) -> None:
    """Each stage once, whatever the number of looks; a new secret ends it silently, a paused connection too."""
    world = empty
    world.configure(listen(world.folder, receiver.address))
    text = world.config.read_text(encoding="utf-8")
    world.config.write_text(text.replace('name = "partner"', 'name = "partner"\nsecret_expires = 2027-03-01'))
    end = datetime(2027, 3, 1, tzinfo=UTC)
    told = []
    for days in (61, 60, 59, 15, 14, 13, 3, 2, 0.5, -1):
        if look(world, end - timedelta(days=days)).sent:
            told.append((days, receiver.messages[-1]["message"].splitlines()[0]))
    mend = "Make a new one and run connect."
    assert told == [
        (60, f"Connection partner: its client secret ends on 2027-03-01 (in 60 days). {mend}"),
        (14, f"Connection partner: its client secret ends on 2027-03-01 (in 14 days). {mend}"),
        (3, f"Connection partner: its client secret ends on 2027-03-01 (in 3 days). {mend}"),
    ]
    assert look(world, end - timedelta(days=100)).over == ("secret:partner",)
    look(world, end)
    world.config.write_text(world.config.read_text().replace("secret_expires", "paused = true\nsecret_expires"))
    assert look(world, end).over == ("secret:partner",)
    assert len(receiver.messages) == 4


def test_the_end_of_a_certificate_is_read_from_it(empty: World, receiver: Receiver) -> None:
    """Nobody writes its date down; a file that is none stops no look."""
    world = empty
    world.configure(listen(world.folder, receiver.address))
    pem = world.folder / "app.pem"
    pem.write_bytes((world.folder / "simulator" / "app.pem").read_bytes())
    lines = world.config.read_text(encoding="utf-8").splitlines()
    changed = [
        f"certificate = {{ file = {json.dumps(str(pem))} }}" if line.startswith("client_secret") else line
        for line in lines
    ]
    world.config.write_text("\n".join(changed), encoding="utf-8")
    assert look(world) == alerting.Looked()
    assert look(world, now() + timedelta(days=3640)).raised == ("secret:partner",)
    assert "its certificate ends on" in receiver.messages[0]["message"]
    pem.write_text("no certificate")
    assert look(world, now() + timedelta(days=3640)).over == ("secret:partner",)


def test_the_end_of_access_and_unknown_products_are_told(start: Start, receiver: Receiver) -> None:
    """The end of the last GDAP relationship in three stages; one message for all products without a name."""
    ending = tenant("Ending")
    ending.gdap_ends_at = now() + timedelta(days=50)
    skus = [SimSku(f"NEW_{n}", sku_id=f"0{n}000000-0000-4000-8000-000000000000") for n in (1, 2)]
    lasting = tenant("Lasting")
    lasting.skus, lasting.users[0].licenses = skus, [SimLicense(skus[0].sku_id)]
    world = start(Estate.build(tenants=[ending, lasting], organizations=[], contacts=[]))
    world.configure(listen(world.folder, receiver.address))
    world.sync()
    look(world)
    assert receiver.titles == ["o365_etl: GDAP access to a tenant ends", "o365_etl: 2 products have no name"]
    assert f"Ending ({ending.tenant_id}): ends on" in receiver.messages[0]["message"]
    assert (
        "NEW_1 (01000000-0000-4000-8000-000000000000), licenses in use: 1, tenants: 1."
        in (receiver.messages[1]["message"])
    )
    sent = [look(world, ending.gdap_ends_at - timedelta(days=days)).sent for days in (20, 13.9, 10, 2.9, 1, -1)]
    assert sent == [0, 1, 0, 1, 0, 0]
    assert {message["type"] for message in receiver.messages} == {"warning", "info"}


def test_a_product_that_only_users_hold_is_told(start: Start, receiver: Receiver) -> None:
    """No tenant lists it any more, so nobody counts its licenses: its holders are counted."""
    lasting = tenant("Lasting")
    lasting.skus, lasting.users[0].licenses = [SimSku("SPB")], [SimLicense("09000000-0000-4000-8000-000000000000")]
    world = start(Estate.build(tenants=[lasting], organizations=[], contacts=[]))
    world.configure(listen(world.folder, receiver.address))
    world.sync()
    look(world)
    assert receiver.titles == ["o365_etl: a product has no name"]
    assert "(09000000-0000-4000-8000-000000000000), users: 1, tenants: 1." in receiver.messages[0]["message"]


# --- syncs


def test_a_failed_sync_is_told_once_until_one_reads_tenants_again(empty: World, receiver: Receiver) -> None:
    """A rematch that ends well says nothing about reading; a sync that does, ends it."""
    world = empty
    world.configure(listen(world.folder, receiver.address) + 'link = "https://desk.example"')
    ran(world, "run-1", "ok", tenants_ok=2)
    assert look(world) == alerting.Looked()
    ran(world, "run-2", "failed")
    look(world)
    ran(world, "run-3", "failed")
    ran(world, "rematch", "ok")
    world.workspace.state.start_run("run-4", "schedule", now())
    assert look(world) == alerting.Looked()
    assert receiver.titles == ["o365_etl: a sync failed"]
    assert receiver.messages[0]["type"] == "failure"
    assert receiver.messages[0]["message"].endswith("\nhttps://desk.example/log?run=run-2")
    ran(world, "run-5", "blocked", tenants_ok=2)
    look(world)
    assert receiver.titles[1:] == ["o365_etl: syncs end well again"]


# --- the way to the targets


def test_looks_at_once_send_one_message(empty: World, receiver: Receiver) -> None:
    """Four looks at the same moment, each as a process of its own would: one message."""
    world = empty
    world.configure(listen(world.folder, receiver.address))
    ran(world, "run-1", "failed")
    together = threading.Barrier(4)
    looked = []

    def one() -> None:
        workspace = world.workspace
        together.wait()
        looked.append(alerting.look(workspace))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receiver.messages) == 1
    assert sorted(each.sent for each in looked) == [0, 0, 0, 1]


def test_what_was_not_taken_is_sent_at_the_next_look(
    empty: World, receiver: Receiver, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """A target that is down gets its message when it is back; the log says so once, and the address never."""
    caplog.set_level(logging.DEBUG)
    world = empty
    world.configure(listen(world.folder, receiver.address))
    ran(world, "run-1", "failed")
    receiver.stop()
    assert look(world).failed == ("target 1 (json)",)
    receiver.start()
    receiver.status = 500
    for _ in range(3):
        assert look(world) == alerting.Looked(failed=("target 1 (json)",))
    assert receiver.calls == 3
    receiver.status = 200
    assert look(world) == alerting.Looked(sent=1)
    assert look(world) == alerting.Looked()

    assert receiver.titles == ["o365_etl: a sync failed"]
    assert log_of(world)[1:] == [
        "alerts: target 1 (json) took no message: it cannot be reached, or does not take messages",
        "alerts: target 1 (json) takes messages again",
    ]
    everything = caplog.text + "".join(capfd.readouterr()) + json.dumps(log_of(world))
    assert TOKEN not in everything
    assert str(receiver.port) not in caplog.text


def test_a_target_that_fails_does_not_make_others_hear_twice(empty: World, receiver: Receiver) -> None:
    """Each target gets each message once, the one that was down when it is back: also what the other got meanwhile,
    and not what is over since.
    """
    world = empty
    with Receiver() as other:
        world.configure(listen(world.folder, receiver.address, other.address))
        other.status = 503
        ran(world, "run-1", "failed")
        assert look(world) == alerting.Looked(raised=("run",), sent=1, failed=("target 2 (json)",))
        assert log_of(world)[1:] == ["alerts: target 2 (json) took no message: it answered HTTP 503"]
        assert look(world) == alerting.Looked(failed=("target 2 (json)",))
        text = world.config.read_text(encoding="utf-8")
        world.config.write_text(text.replace('name = "partner"', 'name = "partner"\nsecret_expires = 2020-01-01'))
        assert look(world).sent == 1
        other.status = 200
        assert look(world).sent == 2
        assert look(world) == alerting.Looked()
        assert len(receiver.messages) == 2
        assert sorted(receiver.titles) == sorted(other.titles)

        receiver.status = 500
        ran(world, "run-2", "ok", tenants_ok=2)
        look(world)
        receiver.status = 200
        look(world)
        assert receiver.titles[2:] == other.titles[2:] == ["o365_etl: syncs end well again"]
        assert [row["subject"] for row in world.workspace.state.alerts.rows()] == ["secret:partner"]


def test_without_targets_the_log_tells(empty: World, receiver: Receiver) -> None:
    """Once for each change. A target that is added later hears what is raised then, and of nothing that is over."""
    world = empty
    ran(world, "run-1", "failed")
    assert look(world) == alerting.Looked(raised=("run",))
    ran(world, "run-2", "ok", tenants_ok=1)
    look(world)
    ran(world, "run-3", "failed")
    for _ in range(3):
        look(world)
    said = [message.split(".")[0] for message in log_of(world)]
    assert said == ["alert: a sync failed", "alert: syncs end well again", "alert: a sync failed"]
    assert len(log_of(world, "warning")) == 2

    world.configure(listen(world.folder, receiver.address))
    assert look(world) == alerting.Looked(sent=1)
    assert receiver.titles == ["o365_etl: a sync failed"]


def test_a_target_that_is_none_stops_nothing(
    empty: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A secret that is missing, an address of no kind and one that is broken are named by place and scheme; the
    others get their message.
    """
    caplog.set_level(logging.DEBUG)
    monkeypatch.delenv("NO_TARGET", raising=False)
    world = empty
    bad = [f"{TOKEN}-without-scheme", f"nosuch://{TOKEN}", f"slack://{TOKEN}"]
    configured = listen(world.folder, *bad, receiver.address)
    world.configure(configured.replace("targets = [", 'targets = [{ env = "NO_TARGET" }, '))
    ran(world, "run-1", "failed")
    assert look(world) == alerting.Looked(
        raised=("run",),
        sent=1,
        failed=("target 1 (unread)", "target 2 (no address)", "target 3 (nosuch)", "target 4 (slack)"),
    )
    assert receiver.titles == ["o365_etl: a sync failed"]
    problems = log_of(world, "warning")[1:]
    assert "NO_TARGET is not set" in problems[0]
    assert problems[1] == "alerts: target 2 (no address) took no message: this is no address that apprise knows"
    assert TOKEN not in caplog.text + json.dumps(problems)


def test_a_private_authority_counts_for_targets_too(empty: World) -> None:
    """Over TLS, signed by `tls.ca_bundle`; with another authority the target is refused."""
    world = empty
    with Receiver(world.folder / "simulator" / "server.pem") as receiver:
        world.configure(listen(world.folder, receiver.address))
        ran(world, "run-1", "failed")
        assert look(world).sent == 1
        assert receiver.titles == ["o365_etl: a sync failed"]
        import certifi

        text = world.config.read_text(encoding="utf-8").splitlines()
        lines = [
            f"ca_bundle = {json.dumps(certifi.where())}" if line.startswith("ca_bundle") else line for line in text
        ]
        world.config.write_text("\n".join(lines), encoding="utf-8")
        ran(world, "run-2", "ok", tenants_ok=1)
        assert look(world).failed == ("target 1 (jsons)",)


def test_a_look_at_the_end_of_a_sync_never_fails_it(empty: World, caplog: pytest.LogCaptureFixture) -> None:
    """A published copy that is damaged is said in the program's log, and no more."""
    world = empty
    world.workspace.published.write_bytes(b"no database")
    with pytest.raises(O365EtlError):
        look(world)
    alerting.look_after_run(world.workspace)
    assert "the alerts could not be looked at" in caplog.text
