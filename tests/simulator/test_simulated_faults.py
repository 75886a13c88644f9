"""The fault plan, seen from the wire."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import requests

from o365_etl.simulator import Estate, Fault, FaultPlan, SimTenant, Simulator, SimUser
from tests.simulator.caller import Caller

USERS = "/v1.0/users?$select=id,displayName&$top=999"


def test_calls_are_counted_per_tenant(folder: Path) -> None:
    """The first two calls of each tenant fail, the third succeeds."""
    tenants = [SimTenant("One"), SimTenant("Two")]
    plan = FaultPlan([Fault(service="graph", kind="status", path="/organization", calls=(1, 2), status=503)])
    with Simulator(Estate.build(tenants), faults=plan, folder=folder) as simulator:
        caller = Caller(simulator)
        found = {
            tenant.display_name: [caller.graph(tenant, "/v1.0/organization").status_code for _ in range(3)]
            for tenant in tenants
        }
        caller.session.close()

    assert found == {"One": [503, 503, 200], "Two": [503, 503, 200]}


def test_a_fault_may_strike_every_nth_call_of_one_tenant(caller: Caller, tenant: SimTenant) -> None:
    """`every` strikes calls n, 2n …; another tenant's fault does not count."""
    caller.simulator.faults.add(Fault("graph", "status", tenant_id=tenant.tenant_id, every=2))
    caller.simulator.faults.add(Fault("graph", "status", tenant_id="somebody else"))

    assert [caller.graph(tenant, "/v1.0/domains").status_code for _ in range(4)] == [200, 500, 200, 500]


@pytest.mark.parametrize("value", ["1", "0.249", None])
def test_throttling_in_its_forms(caller: Caller, tenant: SimTenant, value: str | None) -> None:
    """Retry-After is passed on as planned, or not there at all."""
    caller.simulator.faults.add(Fault("graph", "throttle", calls=(1,), retry_after=value))

    answer = caller.graph(tenant, USERS)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, value)
    assert answer.json()["error"]["code"] == "TooManyRequests"


def test_throttling_until_a_date(caller: Caller, tenant: SimTenant) -> None:
    """`date+60` is the HTTP-date sixty seconds from now."""
    caller.simulator.faults.add(Fault("graph", "throttle", calls=(1,), retry_after="date+60"))

    until = parsedate_to_datetime(caller.graph(tenant, USERS).headers["Retry-After"])
    assert until.timestamp() > time.time()


def test_server_errors_have_the_bodies_that_go_with_them(caller: Caller, tenant: SimTenant) -> None:
    """502 is a web page, 504 is empty, 503 names its code; html_200 looks like success."""
    for number, status in enumerate((502, 503, 504), start=1):
        caller.simulator.faults.add(Fault("graph", "status", calls=(number,), status=status))
    caller.simulator.faults.add(Fault("graph", "html_200", calls=(4,)))

    answers = [caller.graph(tenant, USERS) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [502, 503, 504, 200, 200]
    assert answers[0].text.startswith("<!DOCTYPE html>")
    assert answers[2].content == b""
    assert answers[3].headers["Content-Type"] == "text/html"


@pytest.mark.parametrize("kind", ["reset", "truncated"])
def test_a_broken_wire(folder: Path, kind: str) -> None:
    """The client sees a broken body once, and a whole one at the next try."""
    tenant = SimTenant("Big", users=[SimUser(f"user{number}@big.example") for number in range(900)])
    plan = FaultPlan([Fault("graph", kind, path=r"/users\?", calls=(1,))])  # type: ignore[arg-type]
    with Simulator(Estate.build([tenant]), faults=plan, folder=folder) as simulator:
        caller = Caller(simulator)
        with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)):
            caller.graph(tenant, USERS)
        assert len(caller.graph(tenant, USERS).json()["value"]) == 900
        caller.session.close()


def test_lies_of_the_server(caller: Caller, tenant: SimTenant) -> None:
    """Loops, foreign hosts, empty answers and other tenants' names are delivered as planned."""
    plan = caller.simulator.faults
    plan.add(Fault("graph", "loop", path=r"/users\?", calls=(1,)))
    plan.add(Fault("graph", "foreign_host", path=r"/users\?", calls=(2,)))
    plan.add(Fault("graph", "zero_users", path=r"/users\?", calls=(3,)))
    plan.add(Fault("graph", "expired_page_token", path=r"/users\?", calls=(4,)))
    plan.add(Fault("graph", "wrong_tenant", path="/organization", calls=(1,)))
    plan.add(Fault("graph", "unauthorized_once", path="/domains"))

    assert caller.graph(tenant, USERS).json()["@odata.nextLink"] == caller.simulator.graph_url + USERS
    assert caller.graph(tenant, USERS).json()["@odata.nextLink"].startswith("https://graph.elsewhere.example/")
    assert caller.graph(tenant, USERS).json()["value"] == []
    assert caller.code(tenant, USERS) == (400, "Directory_ExpiredPageToken")
    assert caller.graph(tenant, "/v1.0/organization").json()["value"][0]["id"] != tenant.tenant_id
    assert [caller.graph(tenant, "/v1.0/domains").status_code for _ in range(2)] == [401, 200]


def test_faults_of_the_other_services(caller: Caller, tenant: SimTenant) -> None:
    """Sign-in, IT Glue and the report download can fail as well."""
    plan = caller.simulator.faults
    link = caller.graph(tenant, "/v1.0/reports/getMailboxUsageDetail(period='D7')").headers["Location"]
    plan.add(Fault("login", "status", tenant_id=tenant.tenant_id, status=503))
    plan.add(Fault("itglue", "throttle", path="/contacts"))
    plan.add(Fault("report", "status", tenant_id=tenant.tenant_id, status=502))

    assert caller.sign_in(tenant.default_domain).status_code == 503
    assert caller.itglue("/contacts").status_code == 429
    assert caller.itglue("/organizations").status_code == 200
    assert caller.session.get(link, timeout=10).status_code == 502


def test_a_slow_answer_is_right_in_the_end(caller: Caller, tenant: SimTenant) -> None:
    """`slow` delays; a client with a shorter patience gives up."""
    caller.simulator.faults.add(Fault("graph", "slow", path="/organization", seconds=0.3))

    with pytest.raises(requests.ReadTimeout):
        caller.session.get(
            f"{caller.simulator.graph_url}/v1.0/organization", headers=caller.headers(tenant.tenant_id), timeout=0.1
        )
    assert caller.graph(tenant, "/v1.0/organization").status_code == 200
