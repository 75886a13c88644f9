"""One write to IT Glue: done once, certainly not done, or perhaps done; never sent again by itself."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from odd_server import refusal

from o365_etl.errors import (
    ConfigError,
    ForbiddenError,
    NotFoundError,
    O365EtlError,
    OutcomeUnknownError,
    PermanentError,
    RejectedError,
    ThrottledError,
    UnreachableError,
    UnsupportedError,
)
from o365_etl.itglue.allow_list import check_allowed
from o365_etl.itglue.client import ItGlueClient, Spent
from o365_etl.itglue.refusals import write_refusal
from o365_etl.simulator import Fault, FaultPlan, Simulator
from o365_etl.simulator.certificates import Certificates, prepare
from o365_etl.simulator.transport import Request, Response

Connect = Callable[..., ItGlueClient]
Serve = Callable[..., ItGlueClient]
Simulate = Callable[..., Simulator]
Json = dict[str, Any]

BODY = b'{"data":{"type":"contacts","attributes":{"first-name":"Secretive"}}}'
DONE = Response(201, b'{"data":{"id":"7","type":"contacts","attributes":{}}}')


def send(client: ItGlueClient, spent: Spent | None = None) -> Json:
    return client.send("POST", "/contacts", BODY, Json, spent or Spent())


class Answers:
    """A handler that gives answers one after the other, and keeps what it was sent."""

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def fails(serve: Serve, answer: Response | Callable[[Request], Response], kind: type[O365EtlError]) -> O365EtlError:
    """The error of a write that is answered so; it was sent exactly once, and its text holds nothing of the body."""
    seen: list[Request] = []

    def respond(request: Request) -> Response:
        seen.append(request)
        return answer if isinstance(answer, Response) else answer(request)

    with pytest.raises(kind) as caught:
        send(serve(respond))
    assert type(caught.value) is kind
    assert [(request.method, request.path, request.body) for request in seen] == [("POST", "/contacts", BODY)]
    assert "Secretive" not in caught.value.line
    return caught.value


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/contacts"),
        ("POST", "/organizations"),
        ("POST", "/locations"),
        ("POST", "/flexible_assets"),
        ("POST", "/flexible_asset_types"),
        ("POST", "/organizations/12/relationships/contacts"),
        ("POST", "/organizations/12/relationships/locations"),
        ("POST", "/organizations/12/relationships/flexible_assets"),
        ("PATCH", "/contacts"),
        ("PATCH", "/contacts/12"),
        ("PATCH", "/organizations"),
        ("PATCH", "/organizations/12"),
        ("PATCH", "/locations"),
        ("PATCH", "/locations/12"),
        ("PATCH", "/flexible_assets"),
        ("PATCH", "/flexible_assets/12"),
    ],
)
def test_what_the_job_writes_is_on_the_list(method: str, path: str) -> None:
    """Each write the job needs is allowed, without parameters."""
    check_allowed(method, path, {})
    with pytest.raises(PermanentError):
        check_allowed(method, path, {"include": "adapters_resources"})


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE", "post", ""])
@pytest.mark.parametrize(
    "path",
    [
        "/passwords",
        "/passwords/1",
        "/organizations/1/relationships/passwords",
        "/organizations/1/relationships/contacts/1",
        "/organizations/1/relationships/organizations",
        "/organizations/x/relationships/contacts",
        "/contacts/1/relationships/related_items",
        "/organizations/../passwords",
        "/contacts/../passwords",
        "/contacts\n",
        "/contacts/",
        "/contacts?include=passwords",
        "/flexible_asset_types/1",
        "/flexible_asset_fields/1",
        "/contact_types",
        "/countries",
        "/regions/1",
        "/exports",
        "/users",
        "",
    ],
)
def test_nothing_else_is_written(method: str, path: str) -> None:
    """Neither passwords nor other people's types, whatever the method."""
    with pytest.raises(PermanentError) as caught:
        check_allowed(method, path, {})
    assert caught.value.code == "not_allowed"


@pytest.mark.parametrize("path", ["/contacts", "/contacts/1", "/organizations/1", "/flexible_assets/1"])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "OPTIONS"])
def test_nothing_is_deleted(method: str, path: str) -> None:
    """Not even what may be read and written."""
    with pytest.raises(PermanentError):
        check_allowed(method, path, {})


def test_a_write_that_is_not_on_the_list_is_not_sent(serve: Serve) -> None:
    """The client asks the list before it opens a connection."""
    answers = Answers(DONE)

    with pytest.raises(PermanentError, match="not on the list"):
        serve(answers).send("POST", "/passwords", BODY, Json, Spent())
    assert answers.requests == []


def test_a_write_as_it_is_sent(serve: Serve) -> None:
    """The body goes out as given, whole, with its length, the media type and the key."""
    answers, spent = Answers(DONE), Spent()

    assert send(serve(answers), spent)["data"]["id"] == "7"
    (request,) = answers.requests
    assert (request.method, request.path, request.raw_query, request.body) == ("POST", "/contacts", "", BODY)
    assert request.headers["content-type"] == "application/vnd.api+json"
    assert request.headers["content-length"] == str(len(BODY))
    assert "transfer-encoding" not in request.headers
    assert request.headers["x-api-key"] == "ITG.test"
    assert spent.requests == 1


def test_a_large_body_goes_out_whole(serve: Serve) -> None:
    """More than one block of the connection arrives byte by byte."""
    answers = Answers(DONE)
    body = json.dumps({"data": [f"{number} ä" for number in range(50_000)]}, ensure_ascii=False).encode()
    serve(answers).send("PATCH", "/contacts", body, Json, Spent())

    assert [request.body for request in answers.requests] == [body]


@pytest.mark.parametrize("retry_after", [{}, {"Retry-After": "1"}, {"Retry-After": "0.2"}])
def test_a_throttled_write_is_sent_again_and_done_once(serve: Serve, retry_after: dict[str, str]) -> None:
    """After a 429 nothing was done: the same body is sent again, whole."""
    throttled = Response(429, b'{"message":"Rate limit exceeded."}', retry_after)
    answers, spent = Answers(throttled, throttled, DONE), Spent()

    assert send(serve(answers), spent)["data"]["id"] == "7"
    assert [request.body for request in answers.requests] == [BODY] * 3
    assert spent.requests == 3


def test_a_throttled_write_waits_as_long_as_it_is_told(serve: Serve) -> None:
    """The pause is the server's, and holds everybody back."""
    answers, spent = Answers(Response(429, b"", {"Retry-After": "0.3"}), DONE), Spent()
    send(serve(answers, pause=1.0), spent)

    assert spent.waited_seconds >= 0.25


@pytest.mark.parametrize(("retry_after", "tries"), [("1", 6), ("86400", 1)])
def test_throttling_without_end(serve: Serve, retry_after: str, tries: int) -> None:
    """A server that throttles too often or for too long ends the write as certainly not done."""
    answers = Answers(Response(429, b"", {"Retry-After": retry_after}))

    with pytest.raises(ThrottledError):
        send(serve(answers))
    assert len(answers.requests) == tries


@pytest.mark.parametrize(("status", "kind"), [(401, PermanentError), (403, ForbiddenError)])
def test_a_key_that_may_not_write(serve: Serve, status: int, kind: type[O365EtlError]) -> None:
    """The remedy says that it is the right to write that is missing, and how to do without."""
    error = fails(serve, Response(status, b'{"message":"Forbidden"}'), kind)

    assert error.code == "itglue_key"
    assert "right to write" in error.remedy
    assert "itglue.api_key" in error.remedy


def test_a_record_that_is_gone(serve: Serve) -> None:
    """404 is a `NotFoundError` that does not send people to the configuration."""
    error = fails(serve, refusal(404, "The requested record could not be found."), NotFoundError)

    assert "could not be found" in error.message
    assert "deleted" in error.remedy


@pytest.mark.parametrize("status", [405, 415, 501])
def test_what_the_server_does_not_offer(serve: Serve, status: int) -> None:
    """405, 415 and 501 are `UnsupportedError`: nothing was done."""
    fails(serve, refusal(status, "no"), UnsupportedError)


RECORDED = [
    (
        {"errors": [{"status": 422, "title": "Bad id", "source": {"pointer": "data/attributes/organization_id"}}]},
        "Bad id (organization_id)",
    ),
    (
        {
            "errors": [
                {
                    "source": {"pointer": "/data/attributes/configuration-type"},
                    "detail": "must exist",
                    "title": "Unprocessable Entity",
                    "status": 422,
                },
                {"title": "Taken", "detail": None, "source": None, "status": "422"},
                {"title": "Same", "detail": "Same"},
            ]
        },
        "Unprocessable Entity: must exist (configuration-type); Taken; Same",
    ),
    ({"message": "Invalid JSON format"}, "Invalid JSON format"),
    ({"errors": [{"source": {"pointer": "/data/attributes/title"}}]}, "title"),
    ({"errors": [{"detail": "two\n lines", "source": {"pointer": 3}}, {"source": []}, {}]}, "two lines"),
]


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(("answer", "words"), RECORDED)
def test_a_refusal_in_its_own_words(serve: Serve, status: int, answer: Json, words: str) -> None:
    """Title, detail and field of every error stand in the message."""
    error = fails(serve, Response(status, json.dumps(answer).encode()), RejectedError)

    assert error.code == "rejected"
    assert error.message.endswith(f"answered POST /contacts with {status}: {words}")


@pytest.mark.parametrize("answer", [b"{}", b'{"errors":null}', b'{"errors":{"name":["taken"]}}', b'{"error":{"a":1}}'])
def test_a_refusal_without_words(serve: Serve, answer: bytes) -> None:
    """A refusal in JSON is a refusal, whatever its form."""
    assert fails(serve, Response(422, answer), RejectedError).message.endswith("with 422")


def test_a_long_refusal_is_cut(serve: Serve) -> None:
    """At most 500 characters of the server's words."""
    answer = {"errors": [{"title": "x" * 100, "detail": "y" * 100}] * 50}
    words = fails(serve, Response(422, json.dumps(answer).encode()), RejectedError).message.partition("422: ")[2]

    assert len(words) == 500


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["errors", "title", "detail", "source", "pointer", "message"]), inner, max_size=4
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_object_is_a_refusal(answer: object) -> None:
    """Words in the oddest form never break the reading of a refusal."""
    response = requests.Response()
    response.status_code = 422
    response._content = json.dumps(answer).encode()
    expected = RejectedError if isinstance(answer, dict) else OutcomeUnknownError
    assert type(write_refusal("host", "POST", "/contacts", response)) is expected


@pytest.mark.parametrize("status", [302, 307, 408, 409, 500, 502, 503, 504, 599])
def test_an_answer_that_leaves_it_open(serve: Serve, status: int) -> None:
    """A server error, a time-out at the gateway or a redirect: it may have been done, and is not sent again."""
    error = fails(serve, Response(status, b'{"message":"x"}', {"Location": "/elsewhere"}), OutcomeUnknownError)

    assert error.code == "outcome_unknown"
    assert str(status) in error.message


def test_a_server_error_says_when_to_come_back(serve: Serve) -> None:
    """`Retry-After` of a failed write is kept for whoever reads next."""
    error = fails(serve, Response(503, b"", {"Retry-After": "7"}), OutcomeUnknownError)

    assert isinstance(error, OutcomeUnknownError)
    assert error.retry_after == 7.0


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize("body", [b"", b"<html>Bad request</html>", b"null", b"[]", b'"text"', b"\xff"])
def test_a_refusal_that_is_not_it_glues(serve: Serve, status: int, body: bytes) -> None:
    """400 from something on the way says nothing about what IT Glue did."""
    fails(serve, Response(status, body), OutcomeUnknownError)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b"<html>Welcome</html>", b"null", b"[]", b'{"data":', b"\xff", b'{"\xff":1}'])
def test_a_success_that_cannot_be_read(serve: Serve, status: int, body: bytes) -> None:
    """2xx with a web page or half a document leaves it open."""
    fails(serve, Response(status, b"" if status == 204 else body), OutcomeUnknownError)


@pytest.mark.parametrize("damage", ["reset", "truncated"])
def test_an_answer_that_breaks_off(serve: Serve, damage: Any) -> None:
    """The write was read and answered, and the answer did not arrive."""
    fails(serve, Response(201, DONE.body, damage=damage), OutcomeUnknownError)


def test_a_connection_that_breaks_after_the_request(serve: Serve) -> None:
    """The server read the write and went away without a word."""

    def hang_up(request: Request) -> Response:
        raise ConnectionResetError

    fails(serve, hang_up, OutcomeUnknownError)


def test_a_server_that_says_nothing(serve: Serve) -> None:
    """Silence after the write leaves it open."""
    release = threading.Event()
    seen: list[Request] = []

    def keep_silent(request: Request) -> Response:
        seen.append(request)
        release.wait(20)
        return DONE

    client = serve(keep_silent, silence=0.3)
    try:
        with pytest.raises(OutcomeUnknownError):
            send(client)
    finally:
        release.set()
    assert len(seen) == 1


def test_nobody_at_home(connect: Connect) -> None:
    """Where nothing listens nothing was sent."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(UnreachableError):
        send(connect(f"https://localhost:{port}", None))


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """Something that takes connections and closes them before TLS stands."""
    listener = socket.create_server(("127.0.0.1", 0))

    def close_all() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    thread = threading.Thread(target=close_all, daemon=True)
    thread.start()
    yield f"https://localhost:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_a_connection_that_breaks_before_tls(connect: Connect, hanging_up: str, certificates: Certificates) -> None:
    """A peer that hangs up in the handshake has not seen the write."""
    with pytest.raises(UnreachableError):
        send(connect(hanging_up, certificates.ca))


def test_a_handshake_that_hangs(connect: Connect, certificates: Certificates) -> None:
    """A peer that takes the connection and says nothing has not seen the write either."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener, pytest.raises(UnreachableError):
        send(connect(f"https://localhost:{listener.getsockname()[1]}", certificates.ca, silence=0.3))


def test_a_wrong_authority(serve: Serve, connect: Connect, simulate: Simulate, tmp_path: Path) -> None:
    """A certificate that cannot be verified stops the write before it is sent."""
    simulator = simulate()

    with pytest.raises(UnreachableError, match="certificate") as caught:
        send(connect(simulator.itglue_url, prepare(tmp_path / "other").ca, simulator.itglue_api_key))
    assert caught.value.code == "tls"
    with pytest.raises(ConfigError, match=r"tls\.ca_bundle"):
        send(connect(simulator.itglue_url, tmp_path / "none.pem"))
    assert simulator.requests == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("itglue", "status", status=500), OutcomeUnknownError),
        (Fault("itglue", "status", status=504), OutcomeUnknownError),
        (Fault("itglue", "html_200"), OutcomeUnknownError),
        (Fault("itglue", "reset"), OutcomeUnknownError),
        (Fault("itglue", "truncated"), OutcomeUnknownError),
        (Fault("itglue", "status", status=422), RejectedError),
        (Fault("itglue", "throttle", retry_after="86400"), ThrottledError),
    ],
    ids=lambda value: f"{value.kind} {value.status}" if isinstance(value, Fault) else None,
)
def test_the_simulators_faults(simulate: Simulate, connect: Connect, fault: Fault, kind: type[O365EtlError]) -> None:
    """The same failures, from the simulator's fault plan; each write is sent once."""
    simulator = simulate(faults=FaultPlan([fault]))

    with pytest.raises(kind):
        send(connect(simulator.itglue_url, simulator.ca_bundle, simulator.itglue_api_key))
    assert len(simulator.requests) == 1


def test_many_threads_share_one_client(serve: Serve) -> None:
    """Writes of several threads do not get each other's answers."""

    def echo(request: Request) -> Response:
        return Response(201, request.body)

    client = serve(echo)
    found: dict[int, list[Json]] = {}

    def write(number: int) -> None:
        found[number] = [
            client.send("POST", "/contacts", json.dumps({"n": [number, turn]}).encode(), Json, Spent())
            for turn in range(20)
        ]

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [{"n": [number, turn]} for turn in range(20)] for number in range(4)}
