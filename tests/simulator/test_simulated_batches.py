"""$batch: limits, independence of the items, headers per item."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from o365_etl.simulator import Fault, SimTenant
from tests.simulator.caller import Caller


def batch(caller: Caller, tenant: SimTenant, *requests: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers of a batch as they come."""
    answer = caller.graph(tenant, "/v1.0/$batch", method="POST", json={"requests": list(requests)})
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["responses"]
    return found


def get(identity: str, url: str, **more: Any) -> dict[str, Any]:
    """One item."""
    return {"id": identity, "method": "GET", "url": url, **more}


def test_items_succeed_and_fail_one_by_one(caller: Caller, tenant: SimTenant) -> None:
    """The envelope is 200; each item has its own status, body and headers; the order is not that of the request."""
    purpose = "/users/{}/mailboxSettings/userPurpose"
    answers = batch(
        caller,
        tenant,
        get("1", purpose.format(tenant.users[2].user_id)),
        get("2", purpose.format(tenant.users[3].user_id)),
        get("3", "users?$select=id&$count=true", headers={"ConsistencyLevel": "eventual"}),
    )

    found = {answer["id"]: answer for answer in answers}
    assert [answer["id"] for answer in answers] != ["1", "2", "3"]
    assert (found["1"]["status"], found["1"]["body"]["value"]) == (200, "shared")
    assert (found["2"]["status"], found["2"]["body"]["error"]["code"]) == (404, "MailboxNotEnabledForRESTAPI")
    assert found["3"]["body"]["@odata.count"] == 4
    assert found["3"]["headers"]["x-ms-resource-unit"]


def test_at_most_20_items(caller: Caller, tenant: SimTenant) -> None:
    """The 21st item makes the whole batch fail."""
    items = [get(str(number), "/organization") for number in range(21)]

    assert len(batch(caller, tenant, *items[:20])) == 20
    refused = caller.code(tenant, "/v1.0/$batch", method="POST", json={"requests": items})
    assert refused == (400, "MaximumValueExceeded")


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"requests":[]}', b'{"requests":[{"id":"a","url":"/x"},{"id":"A","url":"/x"}]}'],
    ids=["no JSON", "no object", "empty", "same id"],
)
def test_a_malformed_batch_is_refused(caller: Caller, tenant: SimTenant, body: bytes) -> None:
    """400 for the whole envelope."""
    assert caller.code(tenant, "/v1.0/$batch", method="POST", data=body)[0] == 400


def test_an_item_is_throttled_alone(caller: Caller, tenant: SimTenant) -> None:
    """A fault on an item's path strikes the item and puts Retry-After into its headers."""
    caller.simulator.faults.add(Fault("graph", "throttle", path="/v1.0/domains", calls=(1,), retry_after="0.249"))

    found = {answer["id"]: answer for answer in batch(caller, tenant, get("a", "/domains"), get("b", "/organization"))}
    assert (found["a"]["status"], found["a"]["headers"]["Retry-After"]) == (429, "0.249")
    assert found["b"]["status"] == 200


def test_what_depends_on_a_failure_is_424(caller: Caller, tenant: SimTenant) -> None:
    """A dependent item is not tried."""
    answers = batch(caller, tenant, get("a", "/users/nobody"), get("b", "/organization", dependsOn=["a"]))

    assert {answer["id"]: answer["status"] for answer in answers} == {"a": 404, "b": 424}


def test_redirects_and_plain_text_in_a_batch(caller: Caller, tenant: SimTenant) -> None:
    """A report is an item of status 302 with its Location; a body that is no JSON is base64."""
    found = {
        answer["id"]: answer
        for answer in batch(
            caller,
            tenant,
            get("r", "/reports/getMailboxUsageDetail(period='D7')"),
            get("c", "/users/$count", headers={"ConsistencyLevel": "eventual"}),
        )
    }

    assert found["r"]["status"] == 302
    assert found["r"]["headers"]["Location"].startswith("https://localhost:")
    assert base64.b64decode(found["c"]["body"]) == b"4"
