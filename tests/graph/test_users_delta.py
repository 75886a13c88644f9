"""Users by what changed: which requests it takes, what is landed and believed, and when all are read instead."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest

from o365_etl.config import Selection
from o365_etl.graph import TenantResult
from o365_etl.graph.changes import STREAM, in_force
from o365_etl.receipts import Receipt
from o365_etl.simulator import Fault, SimLicense, SimMailbox, SimSignIn, SimTenant, SimUser
from o365_etl.simulator.transport import Response
from o365_etl.store.landing import LandingZone
from o365_etl.transform.tenant import TenantContext, tenant_frames
from tests.graph.conftest import TENANT, Rig, Script, answer, people, streams

Begin = Callable[..., Rig]
Edit = Callable[[SimTenant], object]


class Delta:
    """A tenant that is read by what changed."""

    def __init__(self, rig: Rig, **connection: Any) -> None:
        self.rig = rig
        self.settings = rig.configured({"users_delta": True} | connection)
        self.tenant = rig.estate.tenants[0]

    def sync(self, edit: Edit | None = None, *, full: bool = False) -> TenantResult:
        """Read the tenant, after an edit if one is given; only these requests stand in the log then."""
        if edit is not None:
            edit(self.tenant)
            self.rig.estate.touch(self.tenant.tenant_id)
        self.rig.simulator.reset_log()
        return self.rig.read(settings=self.settings, full=full)

    def asked(self) -> list[str]:
        """How the users were asked for: `latest`, `changes` or `all`, one word a request."""
        words = []
        for request in self.rig.simulator.requests:
            if request.path == "/v1.0/users/delta":
                words.append("latest" if "$deltatoken=latest" in request.query else "changes")
            elif request.path == "/v1.0/users" and "signInActivity" not in request.query:
                words.append("all")
        return words

    def base(self) -> Receipt:
        """The receipt of the last full read."""
        receipt = self.rig.landing.receipt(self.tenant.tenant_id, "users")
        assert receipt is not None
        return receipt

    def frames(self) -> dict[str, pa.Table]:
        """The tables made of what is landed."""
        return frames_of(self.rig.landing, self.tenant.tenant_id)

    def users(self) -> dict[str, dict[str, Any]]:
        """The rows of `m365.users` by user name."""
        return {row["user_principal_name"]: row for row in self.frames()["m365.users"].to_pylist()}

    def forge(self, stream: str, **fields: Any) -> None:
        """Change a receipt on disk."""
        path = self.rig.landing.root / self.tenant.tenant_id / f"{stream}.receipt.json"
        path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | fields))


def frames_of(landing: LandingZone, tenant_id: str) -> dict[str, pa.Table]:
    """The tables of a tenant, as the pipeline makes them."""
    certified = {
        name for name in ("tenants", "domains", "licenses", "mailboxes", "sign_ins") if landing.receipt(tenant_id, name)
    }
    context = TenantContext(connection="partner", kind="partner", cloud="global", selection=Selection())
    return tenant_frames(
        lambda stream, part: landing.parts(tenant_id, stream, part),
        certified | in_force(landing, tenant_id).keys(),
        context,
    )


@pytest.fixture
def delta(rig: Begin) -> Delta:
    """A tenant of ten users, read once."""
    found = Delta(rig(SimTenant("Contoso", users=people(10))))
    assert found.sync().status == "ok"
    return found


def test_a_tenant_in_which_nothing_changed_costs_one_request(delta: Delta) -> None:
    """The full read asks for a link first; after it the users are one request, and read as if they were read whole."""
    assert delta.asked() == ["latest", "all"]
    before, base = delta.frames(), delta.base()

    result = delta.sync()

    users = streams(result)["users"]
    assert delta.asked() == ["changes"]
    assert (result.status, users.state, users.rows, users.requests) == ("ok", "ok", 10, 1)
    assert (users.reason, users.message) == ("only_changes", None)
    assert result.as_of == users.ended_at > base.ended_at
    assert users.digest == base.digest
    assert all(before[name].equals(frame) for name, frame in delta.frames().items() if name != "m365.tenants")
    # A tenant whose users did not change has no mailbox types to ask for either
    assert not delta.rig.simulator.count(path_prefix="/v1.0/$batch")


def test_without_the_option_nothing_is_asked_of_delta(rig: Begin) -> None:
    """The option is off by default."""
    found = Delta(rig(SimTenant("Contoso", users=people(2))), users_delta=False)
    found.sync()
    found.sync()

    assert found.asked() == ["all"]
    assert found.base().bookmark is None


def test_changes_are_laid_over_what_was_read(delta: Delta) -> None:
    """What is told holds, null as well; what is not told stays; a new user is there, also among the mailboxes."""
    new = SimUser.person("New", "Comer", "contoso.example")

    def edit(tenant: SimTenant) -> None:
        for user in tenant.users:
            user.department, user.job_title = "Sales", "Seller"

    delta.sync(edit, full=True)

    def further(tenant: SimTenant) -> None:
        tenant.users[0].job_title = None
        tenant.users[1].department = "Tax"
        tenant.users.append(new)  # type: ignore[attr-defined]  # a list

    result = delta.sync(further)

    users = delta.users()
    assert delta.asked() == ["changes"]
    assert streams(result)["users"].rows == len(users) == 11
    first, second, third = (users[user.user_principal_name] for user in delta.tenant.users[:3])
    assert (first["job_title"], first["department"]) == (None, "Sales")
    assert (second["job_title"], second["department"]) == ("Seller", "Tax")
    assert (third["job_title"], third["department"]) == ("Seller", "Sales")
    assert users[new.user_principal_name]["is_licensed"]
    assert delta.rig.types(delta.tenant)[new.user_id]["type"] == "user"


def test_a_later_sync_asks_from_the_same_base(delta: Delta) -> None:
    """Changes are all since the full read: one file of them is enough, whatever became of the syncs between."""
    delta.sync(lambda tenant: setattr(tenant.users[0], "job_title", "One"))
    delta.sync(lambda tenant: setattr(tenant.users[1], "job_title", "Two"))

    users = delta.users()

    assert [users[user.user_principal_name]["job_title"] for user in delta.tenant.users[:2]] == ["One", "Two"]
    assert len(delta.rig.landing.parts(delta.tenant.tenant_id, STREAM, "changed")) == 1


def test_a_removed_user_stays_until_the_next_full_read(delta: Delta) -> None:
    """Nobody is concluded to be gone from changes; it is said once, and the receipt says how many."""
    gone = delta.tenant.users[4]

    result = delta.sync(lambda tenant: tenant.users.remove(gone))  # type: ignore[attr-defined]  # a list
    again = delta.sync()

    assert gone.user_principal_name in delta.users()
    assert streams(result)["users"].message == "removed since the last full read: 1 users, kept until the next one"
    assert streams(again)["users"].message is None
    kept = delta.rig.landing.receipt(delta.tenant.tenant_id, STREAM)
    assert kept is not None
    assert str(kept.message).startswith("removed since the last full read: 1 users")
    delta.sync(full=True)
    assert gone.user_principal_name not in delta.users()


def test_a_removed_user_who_is_younger_than_the_full_read_stays_as_well(delta: Delta) -> None:
    """He stood in an earlier file of changes only; that he comes no more, or is marked, says nothing of him."""
    new = SimUser.person("New", "Comer", "contoso.example")
    delta.sync(lambda tenant: tenant.users.append(new))  # type: ignore[attr-defined]  # a list
    seen = delta.users()[new.user_principal_name]

    result = delta.sync(lambda tenant: tenant.users.remove(new))  # type: ignore[attr-defined]  # a list
    delta.sync()

    assert delta.users()[new.user_principal_name] == seen
    assert streams(result)["users"].rows == 11


def test_a_restored_user_is_a_changed_one(delta: Delta) -> None:
    """Removed and back between two syncs, or over two of them."""
    user = delta.tenant.users[4]
    delta.sync(lambda tenant: tenant.users.remove(user))  # type: ignore[attr-defined]  # a list
    user.job_title = "Returned"

    result = delta.sync(lambda tenant: tenant.users.append(user))  # type: ignore[attr-defined]  # a list

    assert delta.users()[user.user_principal_name]["job_title"] == "Returned"
    assert streams(result)["users"].rows == 10
    kept = delta.rig.landing.receipt(delta.tenant.tenant_id, STREAM)
    assert kept is not None
    assert kept.message is None


def test_odd_rounds_come_to_the_same(rig: Begin) -> None:
    """Short and empty pages, objects that come twice, an outdated state first."""
    found = Delta(rig(SimTenant("Contoso", users=people(40), odd_paging=True)))
    found.sync()
    back = found.tenant.users[3]
    found.sync(lambda tenant: [setattr(user, "job_title", "Seller") for user in tenant.users[:6]])
    found.sync(lambda tenant: tenant.users.remove(back))  # type: ignore[attr-defined]  # a list

    found.sync(lambda tenant: tenant.users.append(back))  # type: ignore[attr-defined]  # a list

    assert found.asked() == ["changes"] * 3
    users = found.users()
    assert len(users) == 40
    assert [user.user_principal_name for user in found.tenant.users if user.job_title == "Seller"] == [
        user.user_principal_name
        for user in found.tenant.users
        if users[user.user_principal_name]["job_title"] == "Seller"
    ]


def test_mailbox_types_follow_the_changes(delta: Delta) -> None:
    """Somebody who leaves and whose mailbox becomes a shared one is asked for, and nobody else."""

    def edit(tenant: SimTenant) -> None:
        user = tenant.users[2]
        user.account_enabled, user.licenses, user.mailbox = False, [], SimMailbox("shared")

    delta.sync(edit)

    assert delta.rig.types(delta.tenant)[delta.tenant.users[2].user_id]["type"] == "shared"
    assert delta.rig.simulator.count(path_prefix="/v1.0/$batch") == 1


@pytest.mark.parametrize(
    ("fields", "hours"),
    [
        ({"started_at": timedelta(hours=25)}, 24),
        ({"started_at": timedelta(minutes=1)}, 0),
        ({"started_at": timedelta(days=6, minutes=1)}, 144),
        ({"started_at": -timedelta(hours=1)}, 24),
        ({"bookmark": "other fields"}, 24),
        ({"bookmark": "no bookmark"}, 24),
    ],
    ids=["due", "always due", "the link is too old", "from the future", "other fields", "unreadable"],
)
def test_when_a_full_read_is_due(rig: Begin, fields: dict[str, Any], hours: float) -> None:
    """By age, by a clock that was put right, and when the link is of another version of this program."""
    found = Delta(rig(), full_read_hours=hours)
    found.sync()
    started, bookmark = found.base().started_at, str(found.base().bookmark)
    forged = {k: v if isinstance(v, str) else started - v for k, v in fields.items()}
    if forged.get("bookmark") == "other fields":
        forged["bookmark"] = bookmark.replace('"fields":"id,', '"fields":"id,hireDate,')
        assert forged["bookmark"] != bookmark
    found.forge("users", **forged)

    result = found.sync()

    assert found.asked() == ["latest", "all"]
    assert streams(result)["users"].reason is None


@pytest.mark.parametrize(
    "break_it",
    [
        lambda delta: delta.rig.estate.history(delta.tenant).reset(),
        lambda delta: setattr(delta.rig.estate, "now", delta.rig.estate.now + timedelta(days=8)),
        lambda delta: delta.rig.fail(Fault("graph", "status", path="/users/delta", calls=(1,), status=410)),
        lambda delta: delta.rig.fail(Fault("graph", "status", path="/users/delta", calls=(1,), status=403)),
        lambda delta: delta.rig.fail(Fault("graph", "status", path="/users/delta", calls=(1, 2, 3, 4, 5), status=500)),
        lambda delta: damage(delta, "users.*.zst"),
        lambda delta: damage(delta, f"{STREAM}.*.zst"),
        lambda delta: damage(delta, f"{STREAM}.receipt.json"),
        lambda delta: delta.forge("users", bookmark=elsewhere(delta)),
    ],
    ids=["reset", "expired", "410", "403", "500", "base", "earlier changes", "their receipt", "another host"],
)
def test_whatever_goes_wrong_with_changes_all_are_read_in_the_same_sync(
    delta: Delta, break_it: Callable[[Delta], object]
) -> None:
    """The tenant is ok, the users are those there are, and there is a new link."""
    delta.sync(lambda tenant: setattr(tenant.users[0], "job_title", "One"))
    gone = delta.tenant.users[4]
    break_it(delta)

    result = delta.sync(lambda tenant: tenant.users.remove(gone))  # type: ignore[attr-defined]  # a list

    assert delta.asked()[-2:] == ["latest", "all"]
    assert streams(result)["users"].requests == len(delta.asked())
    assert (result.status, streams(result)["users"].reason, streams(result)["users"].rows) == ("ok", None, 9)
    assert gone.user_principal_name not in delta.users()
    assert delta.rig.landing.receipt(delta.tenant.tenant_id, STREAM) is None
    assert not list((delta.rig.landing.root / delta.tenant.tenant_id).glob(f"*{STREAM}*"))
    delta.sync()
    assert delta.asked() == ["changes"]


def damage(delta: Delta, pattern: str) -> None:
    """Spoil what is landed."""
    (path,) = (delta.rig.landing.root / delta.tenant.tenant_id).glob(pattern)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data if path.suffix == ".zst" else b"{")


def elsewhere(delta: Delta) -> str:
    """The base's bookmark with a link to a host that must not see the token."""
    bookmark = msgspec.json.decode(str(delta.base().bookmark))
    return msgspec.json.encode(bookmark | {"link": "https://graph.elsewhere.example/v1.0/users/delta"}).decode()


def test_too_many_changes_are_a_full_read(delta: Delta) -> None:
    """Three of ten are changes, four are not."""

    def promote(count: int) -> Edit:
        return lambda tenant: [setattr(user, "job_title", "Head") for user in tenant.users[:count]]

    delta.sync(promote(3))
    assert delta.asked() == ["changes"]

    delta.sync(promote(4))

    assert delta.asked() == ["changes", "latest", "all"]


def test_a_full_sync_reads_all(delta: Delta) -> None:
    """`full` wins over the option, and leaves a link for the next one."""
    delta.sync(full=True)
    assert delta.asked() == ["latest", "all"]

    delta.sync()
    assert delta.asked() == ["changes"]


def test_without_a_link_all_are_read_every_time(rig: Begin) -> None:
    """A tenant that refuses delta is read as if the option were off."""
    found = Delta(rig())
    found.rig.fail(Fault("graph", "status", path="/users/delta", status=400))

    results = [found.sync(), found.sync()]

    assert [result.status for result in results] == ["ok", "ok"]
    assert found.asked() == ["latest", "all"]
    assert found.base().bookmark is None


def test_a_full_read_that_fails_leaves_the_changes_in_force(delta: Delta) -> None:
    """Neither changes nor all are to be had: what is known stays, as of when it was read."""
    before = delta.sync(lambda tenant: setattr(tenant.users[0], "job_title", "One"))
    delta.rig.fail(Fault("graph", "status", path="/v1.0/users", status=500))

    result = delta.sync()

    assert (result.status, streams(result)["users"].state) == ("partial", "failed")
    assert result.as_of == before.as_of
    assert delta.users()[delta.tenant.users[0].user_principal_name]["job_title"] == "One"


def test_changes_of_another_full_read_count_for_nothing(delta: Delta, tmp_path: Path) -> None:
    """A crash after a full read leaves the changes of the one before: they are not laid over it."""
    delta.sync(lambda tenant: setattr(tenant.users[0], "job_title", "One"))
    delta.forge("users", read_id="another")

    assert in_force(delta.rig.landing, delta.tenant.tenant_id).keys() == {"users"}
    assert delta.users()[delta.tenant.users[0].user_principal_name]["job_title"] is None


def test_a_changed_user_changes_the_digest(delta: Delta) -> None:
    """The receipt of the users as they stand has one digest as long as nothing changes further."""
    changed = delta.sync(lambda tenant: setattr(tenant.users[0], "job_title", "One"))
    same = delta.sync()
    further = delta.sync(lambda tenant: setattr(tenant.users[1], "job_title", "Two"))

    digests = [streams(result)["users"].digest for result in (changed, same, further)]
    assert digests[0] == digests[1]
    assert len({delta.base().digest, *digests}) == 3


def test_sign_ins_come_with_the_full_read(rig: Begin) -> None:
    """Between two full reads those known stay; a tenant that refuses them is asked each time, so that it shows."""
    found = Delta(rig(SimTenant("Contoso", users=people(3, skus=("SPE_E3",)))))
    user = found.tenant.users[0]
    user.sign_in = SimSignIn("2026-01-02T03:04:05Z")
    found.sync()

    result = found.sync(lambda tenant: setattr(user, "sign_in", SimSignIn("2026-02-02T03:04:05Z")))

    assert (streams(result)["sign_ins"].state, streams(result)["sign_ins"].reason) == ("skipped", "with_full_read")
    assert result.status == "ok"
    assert result.missing_permissions == []
    assert found.users()[user.user_principal_name]["last_sign_in_at"].month == 1
    found.sync(full=True)
    assert found.users()[user.user_principal_name]["last_sign_in_at"].month == 2
    found.rig.fail(Fault("graph", "status", path="signInActivity", status=403))
    refused = [found.sync(full=True), found.sync()]
    assert [streams(result)["sign_ins"].state for result in refused] == ["degraded", "degraded"]


def test_licenses_that_went_are_not_kept_alive_by_their_states(script: Script) -> None:
    """Where only the licenses are told, how they were assigned is known of those alone that are still held."""
    old, new = "05e9a617-0261-4cee-bb44-138d3ef5d965", "f30db892-07e9-47e9-837c-80727f46fd3d"
    user = {
        "id": "u1",
        "assignedLicenses": [{"skuId": old}],
        "licenseAssignmentStates": [
            {"skuId": old, "state": "Active"},
            {"skuId": new, "state": "Error", "error": "CountViolation"},
        ],
    }
    link = f"{script.url}/v1.0/users/delta?$deltatoken=x"
    told = {"id": "U1", "assignedLicenses": []}
    script.answers["/users"] = answer({"value": [user, *({"id": f"other{n}"} for n in range(5))]})
    script.answers["/users/delta"] = lambda request: answer(
        {"value": [] if "latest" in request.raw_query else [told], "@odata.deltaLink": link}
    )
    script.read(users_delta=True)
    script.read(users_delta=True)

    frame = frames_of(script.landing, TENANT)["m365.license_assignments"].to_pylist()

    assert [(row["sku_id"], row["state"]) for row in frame] == [(new, "Error")]


@pytest.mark.parametrize(
    "page",
    [
        answer({"value": []}),
        answer({"value": [{"displayName": "nobody"}], "@odata.deltaLink": "x"}),
        answer({"value": [{"id": 7}], "@odata.deltaLink": "x"}),
        answer({"error": {"code": "SyncStateNotFound"}}, 404),
    ],
    ids=["no link at the end", "no id", "an id that is none", "40X"],
)
def test_a_round_that_is_none_is_a_full_read(script: Script, page: Response) -> None:
    """Nothing of it is believed."""
    link = f"{script.url}/v1.0/users/delta?$deltatoken=x"
    script.answers["/users/delta"] = lambda request: (
        answer({"value": [], "@odata.deltaLink": link}) if "latest" in request.raw_query else page
    )
    script.read(users_delta=True)

    result = script.read(users_delta=True)

    assert (streams(result)["users"].state, streams(result)["users"].reason) == ("ok", None)
    assert script.landing.receipt(TENANT, STREAM) is None


def test_an_unlicensed_user_becomes_licensed(delta: Delta) -> None:
    """Scope follows the changes."""
    user = delta.tenant.users[5]
    sku = user.licenses[0].sku_id
    delta.sync(lambda tenant: user.licenses.clear(), full=True)
    assert not delta.users()[user.user_principal_name]["in_scope"]

    delta.sync(lambda tenant: user.licenses.append(SimLicense(sku)))

    assert delta.asked() == ["changes"]
    assert delta.users()[user.user_principal_name]["in_scope"]
