"""One request to IT Glue: what may be sent, what is repeated, and what each failure is called."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odd_server import refusal

from o365_etl.config import ItGlue, SecretRef
from o365_etl.errors import (
    BadAnswerError,
    ConfigError,
    ForbiddenError,
    NotFoundError,
    PermanentError,
    ProtocolError,
    ThrottledError,
    UnreachableError,
    UnsupportedError,
)
from o365_etl.itglue.allow_list import check_allowed
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.refusals import retry_after
from o365_etl.simulator import Fault, FaultPlan, Simulator
from o365_etl.simulator.certificates import Certificates, prepare
from o365_etl.simulator.transport import Request, Response

Connect = Callable[..., ItGlueClient]
Serve = Callable[..., ItGlueClient]
Simulate = Callable[..., Simulator]

Json = dict[str, Any]


def get(client: ItGlueClient, path: str = "/organizations", params: dict[str, str] | None = None) -> Json:
    return client.get(path, params or {}, Json, Spent())[0]


def to(simulator: Simulator, connect: Connect) -> ItGlueClient:
    return connect(simulator.itglue_url, simulator.ca_bundle, simulator.itglue_api_key)


FORBIDDEN = [
    "/passwords",
    "/passwords/1",
    "/organizations/1/relationships/passwords",
    "/organizations/../passwords",
    "/organizations/%2e%2e/passwords",
    "/organizations?include=passwords",
    "/organizations/1/../../passwords",
    "/contacts/x",
    "/users",
    "/exports",
    "//passwords",
    "/organizations\n",
    "/organizations/١",
    "",
]


@pytest.mark.parametrize("path", FORBIDDEN)
def test_nothing_else_is_ever_sent(simulate: Simulate, connect: Connect, path: str) -> None:
    """A path that is not on the list raises before a byte is sent."""
    simulator = simulate()

    with pytest.raises(PermanentError) as caught:
        get(to(simulator, connect), path)
    assert caught.value.code == "not_allowed"
    assert simulator.requests == []


def test_passwords_are_not_included(simulate: Simulate, connect: Connect) -> None:
    """`include` reaches no further than the paths do."""
    simulator = simulate()
    for include in ("passwords", "adapters_resources,passwords", "adapters_resources, passwords", "PASSWORDS"):
        with pytest.raises(PermanentError):
            get(to(simulator, connect), "/contacts", {"include": include})

    assert simulator.requests == []
    assert get(to(simulator, connect), "/contacts", {"include": "adapters_resources"})["data"] == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "HEAD", "get", ""])
def test_no_other_method(method: str) -> None:
    """Of the methods that are not writes only GET is on the list."""
    with pytest.raises(PermanentError):
        check_allowed(method, "/contacts", {})


def test_a_wrong_key_is_named_but_not_shown(simulate: Simulate, connect: Connect) -> None:
    """A refused key is a permanent error that says key and region, asks once, and does not repeat the key."""
    simulator = simulate()
    client = connect(simulator.itglue_url, simulator.ca_bundle, "ITG.not-the-key")

    with pytest.raises(ForbiddenError) as caught:
        get(client)
    assert caught.value.code == "itglue_key"
    assert "region" in caught.value.line
    assert "not-the-key" not in caught.value.line
    assert len(simulator.requests) == 1


@pytest.mark.parametrize("key", ["ITG.a\nb", "ITG.é", "ITG.\x00"])
def test_what_cannot_be_a_key_is_a_mistake_in_the_configuration(connect: Connect, key: str) -> None:
    """A key with a line break or letters beyond ASCII is refused before anything is sent, and not shown."""
    with pytest.raises(ConfigError, match=r"itglue\.api_key") as caught:
        connect("https://localhost:1", None, key)
    assert key not in caught.value.line


def test_a_missing_key_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    """A reference to a key that is not there names the configuration key."""
    settings = ItGlue(api_key=SecretRef(file=tmp_path / "none"))

    with pytest.raises(ConfigError, match=r"itglue\.api_key"):
        ItGlueClient(settings, None)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("itglue", "status", status=500, calls=(1, 2, 3)),
        Fault("itglue", "status", status=502, calls=(1,)),
        Fault("itglue", "status", status=503, calls=(1,)),
        Fault("itglue", "status", status=408, calls=(1,)),
        Fault("itglue", "reset", calls=(1, 2)),
        Fault("itglue", "truncated", calls=(1,)),
        Fault("itglue", "html_200", calls=(1,)),
        Fault("itglue", "throttle", retry_after="1", calls=(1, 2, 3, 4, 5)),
        Fault("itglue", "throttle", retry_after="0.249", calls=(1,)),
        Fault("itglue", "throttle", retry_after="date+2", calls=(1,)),
        Fault("itglue", "throttle", retry_after=None, calls=(1,)),
    ],
    ids=lambda fault: f"{fault.kind} {fault.retry_after or fault.status}",
)
def test_what_passes_is_repeated(simulate: Simulate, connect: Connect, fault: Fault) -> None:
    """A failure that another try can mend costs requests, not the answer."""
    simulator = simulate(faults=FaultPlan([fault]))
    spent = Spent()
    answer, body = to(simulator, connect).get("/organizations", {}, Json, spent)

    assert len(answer["data"]) == 3
    assert body.startswith(b'{"data":')
    assert spent.requests == len(simulator.requests) == len(fault.calls) + 1


@pytest.mark.parametrize(
    ("fault", "error", "code", "tries"),
    [
        (Fault("itglue", "status", status=500), BadAnswerError, "bad_answer", 4),
        (Fault("itglue", "status", status=502), BadAnswerError, "bad_answer", 4),
        (Fault("itglue", "status", status=504), BadAnswerError, "took_too_long", 1),
        (Fault("itglue", "html_200"), BadAnswerError, "bad_answer", 4),
        (Fault("itglue", "reset"), UnreachableError, "unreachable", 4),
        (Fault("itglue", "throttle", retry_after="1"), ThrottledError, "throttled", 6),
        (Fault("itglue", "throttle", retry_after="86400"), ThrottledError, "throttled", 1),
        (Fault("itglue", "status", status=400), UnsupportedError, "unsupported", 1),
        (Fault("itglue", "status", status=404), NotFoundError, "not_found", 1),
        (Fault("itglue", "status", status=422), PermanentError, "rejected", 1),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_what_does_not_pass_is_an_error(
    simulate: Simulate, connect: Connect, fault: Fault, error: type[Exception], code: str, tries: int
) -> None:
    """A failure that stays ends, after the tries it deserves, in the error of its kind."""
    simulator = simulate(faults=FaultPlan([fault]))

    with pytest.raises(error) as caught:
        get(to(simulator, connect))
    assert (caught.value.code, len(simulator.requests)) == (code, tries)  # type: ignore[attr-defined]


def test_what_the_server_says_is_passed_on(serve: Serve) -> None:
    """The reason in the error body, in either form, stands in the message, cut to a sensible length."""
    said = iter(
        [refusal(422, "Valid organization_id is required"), Response(422, b'{"message":"' + b"x" * 5000 + b'"}')]
    )
    client = serve(lambda _: next(said))

    with pytest.raises(PermanentError, match="Valid organization_id is required"):
        get(client)
    with pytest.raises(PermanentError) as caught:
        get(client)
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"text"', b'{"data":', b"\xff", b"<html>"])
def test_nonsense_is_a_bad_answer(serve: Serve, body: bytes) -> None:
    """A 200 without a JSON object is a `BadAnswerError`."""
    client = serve(lambda _: Response(200, body))

    with pytest.raises(BadAnswerError):
        get(client)


def test_the_key_does_not_follow_a_redirect(serve: Serve) -> None:
    """An answer that points elsewhere is an error, and nothing is sent there."""
    seen: list[Request] = []

    def respond(request: Request) -> Response:
        seen.append(request)
        return Response(302, b"", {"Location": "/contacts"})

    with pytest.raises(ProtocolError, match="302"):
        get(serve(respond))
    assert [(request.path, request.headers["x-api-key"]) for request in seen] == [("/organizations", "ITG.test")]


def test_the_private_authority_wins(simulate: Simulate, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """`tls.ca_bundle` counts, whatever REQUESTS_CA_BUNDLE says."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file.pem")
    simulator = simulate()

    assert len(get(to(simulator, connect))["data"]) == 3


def test_a_wrong_authority_is_said_at_once(
    simulate: Simulate, connect: Connect, tmp_path: Path, certificates: Certificates
) -> None:
    """A certificate that cannot be verified is an error that names `tls.ca_bundle`; no request gets through."""
    simulator = simulate()
    other = prepare(tmp_path / "other").ca

    for ca_bundle in (other, None):
        with pytest.raises(UnreachableError, match="certificate") as caught:
            get(connect(simulator.itglue_url, ca_bundle, simulator.itglue_api_key))
        assert caught.value.code == "tls"
        assert "tls.ca_bundle" in caught.value.remedy
    assert simulator.requests == []


def test_an_authority_that_is_not_there_is_a_mistake_in_the_configuration(connect: Connect, tmp_path: Path) -> None:
    """A CA bundle that does not exist is a `ConfigError`, not a traceback."""
    with pytest.raises(ConfigError, match=r"tls\.ca_bundle"):
        get(connect("https://localhost:1", tmp_path / "none.pem"))


def test_nobody_at_home(connect: Connect) -> None:
    """An address where nothing listens is unreachable."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(UnreachableError) as caught:
        get(connect(f"https://localhost:{port}", None))
    assert caught.value.code == "unreachable"


@given(seconds=st.floats(0, 1e9), text=st.text(max_size=20))
def test_retry_after_in_every_form(seconds: float, text: str) -> None:
    """Whole and decimal seconds and dates are understood, nonsense is None, and never is the wait negative."""
    assert retry_after(str(seconds)) == seconds
    assert retry_after(str(int(seconds))) == int(seconds)
    assert (retry_after(text) or 0.0) >= 0.0


def test_retry_after_as_a_date() -> None:
    """A date in the future is the time until then, one in the past is now; absent is None."""
    ahead = retry_after(formatdate(time.time() + 100, usegmt=True))

    assert ahead is not None
    assert 0 < ahead <= 100
    assert retry_after(formatdate(0, usegmt=True)) == 0.0
    assert [retry_after(value) for value in (None, "", "soon", "nan", "inf", "-5")] == [None] * 5 + [0.0]
