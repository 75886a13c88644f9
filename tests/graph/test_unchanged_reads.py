"""A tenant that stays as it is: the same digests, whatever the paging, and a report that is not sent twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from o365_etl.graph import TenantResult
from o365_etl.simulator import Fault, SimMailbox, SimSignIn, SimTenant
from o365_etl.simulator.transport import Request, Response
from tests.graph.conftest import TENANT, Rig, Script, answer, people, streams

Begin = Callable[..., Rig]
REPORT = "/reports/getMailboxUsageDetail(period='D7')"
CSV = b"\xef\xbb\xbfReport Refresh Date,User Principal Name,Storage Used (Byte)\r\n2026-01-01,a@b.example,5\r\n"


def digests(result: TenantResult) -> dict[str, str | None]:
    """The digest of each stream that was read."""
    return {name: receipt.digest for name, receipt in streams(result).items() if receipt.certified}


def statuses(world: Rig) -> list[tuple[str, int]]:
    """How the report was answered: by Graph, by the download."""
    return [
        (request.service, request.status)
        for request in world.simulator.requests
        if request.service == "report" or (request.path.startswith("/v1.0/reports/"))
    ]


def test_an_unchanged_tenant_has_the_same_digests(rig: Begin) -> None:
    """Page tokens differ from read to read, and the second read need not ask for mailbox types: the digests stay."""
    users = people(30, skus=("SPE_E3",))
    users[3].mailbox = SimMailbox("shared")
    users[4].sign_in = SimSignIn("2026-01-02T03:04:05Z")
    world = rig(SimTenant("Contoso", users=users, odd_paging=True))
    tenant = world.estate.tenants[0]
    first = world.read()
    links = {page.get("@odata.nextLink") for page in world.landed(tenant, "users", "users")}

    second = world.read()

    assert len(digests(first)) == 6
    assert digests(first) == digests(second)
    assert None not in digests(first).values()
    assert not (links - {None}) & {page.get("@odata.nextLink") for page in world.landed(tenant, "users", "users")}
    assert len(world.landed(tenant, "mailboxes", "recipient_types")) == 0


@pytest.mark.parametrize(
    ("edit", "changed"),
    [
        (lambda tenant: setattr(tenant.users[2], "job_title", "Head"), {"users"}),
        (lambda tenant: setattr(tenant.users[2], "sign_in", SimSignIn("2026-02-02T03:04:05Z")), {"sign_ins"}),
        (lambda tenant: setattr(tenant.users[2].mailbox, "item_count", 5), {"mailboxes"}),
        (lambda tenant: setattr(tenant, "city", "Oslo"), {"tenants"}),
        (lambda tenant: tenant.users[2].licenses.clear(), {"users", "licenses", "mailboxes"}),
    ],
    ids=["user", "sign-in", "mailbox", "tenant", "license"],
)
def test_a_change_changes_the_digest_of_its_stream_alone(
    rig: Begin, edit: Callable[[SimTenant], object], changed: set[str]
) -> None:
    """A license is one of the user and one used by the tenant, and is part of what a mailbox type is known by."""
    world = rig(SimTenant("Contoso", users=people(3, skus=("SPE_E3",))))
    tenant = world.estate.tenants[0]
    before = digests(world.read())
    edit(tenant)
    world.estate.touch(tenant.tenant_id)

    after = digests(world.read())

    assert {name for name in before if before[name] != after[name]} == changed


def test_the_time_of_the_last_directory_sync_is_not_read(rig: Begin) -> None:
    """Microsoft tells it with the tenant: every read of a synchronised tenant would differ from the one before."""
    world = rig(SimTenant("Contoso", users=people(1), on_premises_sync_enabled=True))
    world.read()

    (organization,) = world.landed(world.estate.tenants[0], "tenants", "organization")[0]["value"]

    assert not [name for name in organization if "Sync" in name or "Quota" in name]
    assert organization["verifiedDomains"]


def test_a_known_report_is_not_sent_again(rig: Begin) -> None:
    """304 instead of a redirect and a download; what is landed and its digest are the same; a new one is read."""
    world = rig(SimTenant("Contoso", users=people(3)))
    tenant = world.estate.tenants[0]
    first = world.read()
    text = world.landing.parts(tenant.tenant_id, "mailboxes", "usage_csv")
    assert statuses(world) == [("graph", 302), ("report", 200)]
    world.simulator.reset_log()

    second = world.read()
    third = world.read()

    assert statuses(world) == [("graph", 304), ("graph", 304)]
    assert world.landing.parts(tenant.tenant_id, "mailboxes", "usage_csv") == text
    assert digests(first)["mailboxes"] == digests(second)["mailboxes"] == digests(third)["mailboxes"]
    assert streams(third)["mailboxes"].rows == streams(first)["mailboxes"].rows == 3
    world.simulator.reset_log()
    assert tenant.users[0].mailbox is not None
    tenant.users[0].mailbox.item_count = 7
    world.estate.touch(tenant.tenant_id)
    world.read()
    assert statuses(world) == [("graph", 302), ("report", 200)]
    assert b",7," in world.landing.parts(tenant.tenant_id, "mailboxes", "usage_csv")[0]


def test_a_known_report_is_judged_as_a_new_one(rig: Begin) -> None:
    """Names concealed in a report that is known already are concealed still."""
    tenant = SimTenant("Contoso", users=people(3), concealed=True, roles=("Organization.Read.All", "User.Read.All"))
    tenant.roles += ("Domain.Read.All", "LicenseAssignment.Read.All", "Reports.Read.All")
    world = rig(tenant)
    world.read()
    world.simulator.reset_log()

    result = world.read()

    assert statuses(world) == [("graph", 304)]
    assert (streams(result)["mailboxes"].state, streams(result)["mailboxes"].reason) == ("degraded", "concealed")


def test_a_report_whose_text_is_lost_is_read_anew(rig: Begin) -> None:
    """A damaged file in the landing zone must not make a report without mailboxes of a 304."""
    world = rig(SimTenant("Contoso", users=people(3)))
    tenant = world.estate.tenants[0]
    world.read()
    (path,) = (world.landing.root / tenant.tenant_id).glob("mailboxes.*.zst")
    path.write_bytes(path.read_bytes()[:-5])
    world.simulator.reset_log()

    result = world.read()

    assert statuses(world) == [("graph", 304), ("graph", 302), ("report", 200)]
    assert streams(result)["mailboxes"].rows == 3


def test_a_report_that_failed_in_between_is_read_anew(rig: Begin) -> None:
    """A read without the report leaves no ETag behind, as it leaves no text."""
    world = rig(SimTenant("Contoso", users=people(3)))
    world.read()
    world.fail(Fault("graph", "status", path="/v1.0/reports", status=403))
    world.read()
    world.fail()
    world.simulator.reset_log()

    result = world.read()

    assert statuses(world) == [("graph", 302), ("report", 200)]
    assert streams(result)["mailboxes"].state == "ok"


@pytest.mark.parametrize("who", ["Graph", "the download"])
def test_either_may_answer_304(script: Script, who: str) -> None:
    """The ETag goes to Graph and, where that redirects all the same, to the download."""
    script.answers["/file"] = lambda request: _conditional(request, answer_when_known=304)
    script.answers[REPORT] = lambda request: _conditional(
        request, answer_when_known=304 if who == "Graph" else 302, url=f"{script.url}/file"
    )
    script.read()
    asked = len(script.requests)

    result = script.read()

    assert (streams(result)["mailboxes"].state, streams(result)["mailboxes"].rows) == ("ok", 1)
    known = [r.headers["if-none-match"] for r in script.requests[asked:] if "if-none-match" in r.headers]
    assert known == ['"one"'] * (1 if who == "Graph" else 2)


@pytest.mark.parametrize("etag", ["", "unquoted", '"' + "x" * 600 + '"', '"ä"'])
def test_what_is_no_etag_is_not_remembered(script: Script, etag: str) -> None:
    """It would be sent in a header, and come back from a file that anyone may have edited."""
    response = Response(200, CSV, {"Content-Type": "application/octet-stream", **({"ETag": etag} if etag else {})})
    script.answers[REPORT] = response

    result = script.read()

    assert (streams(result)["mailboxes"].state, streams(result)["mailboxes"].bookmark) == ("ok", None)


def test_304_to_a_question_without_condition_is_no_report(script: Script) -> None:
    """It says that nothing changed, to somebody who has nothing."""
    script.answers[REPORT] = answer({}, 304)

    assert streams(script.read())["mailboxes"].state == "failed"
    assert script.landing.receipt(TENANT, "mailboxes") is None


def _conditional(request: Request, *, answer_when_known: int, url: str | None = None) -> Response:
    known = request.headers.get("if-none-match") == '"one"'
    if known and answer_when_known == 304:
        return Response(304, headers={"ETag": '"one"'})
    if url is not None:
        return Response(302, headers={"Location": url})
    return Response(200, CSV, {"ETag": '"one"'})
