"""The landing zone: only certified reads replace what is known, whatever crashes, fills up or is damaged."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from o365_etl.errors import LocalError, NotFoundError, ProtocolError
from o365_etl.receipts import Landing, Receipt, StreamState
from o365_etl.store.landing import LandingZone

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PAGE = b'{"value":[{"id":"1"}]}'


def receipt(read_id: str, state: StreamState = "ok", *, stream: str = "users", ended_at: datetime = NOW) -> Receipt:
    return Receipt(source="t1", stream=stream, read_id=read_id, state=state, started_at=NOW, ended_at=ended_at)


def land(zone: Landing, read_id: str, *bodies: bytes, stream: str = "users") -> Receipt:
    writer = zone.writer("t1", stream, read_id)
    for body in bodies:
        writer.write(stream, body)
    return writer.commit(receipt(read_id, stream=stream))


@pytest.fixture
def zone(data_dir: Path) -> LandingZone:
    return LandingZone(data_dir / "landing")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@settings(max_examples=60, deadline=None)
@given(
    answers=st.lists(st.tuples(st.sampled_from(["users", "sign_ins"]), JSON, st.sampled_from([None, 2, "\r\n"]))),
    texts=st.lists(st.text()),
)
def test_what_was_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, answers: list[tuple[str, object, object]], texts: list[str]
) -> None:
    """Every answer comes back in order: JSON as the same value however it was laid out, text to the character."""
    zone = LandingZone(tmp_path_factory.mktemp("landing"))
    writer = zone.writer("t1", "users", "r1")
    for part, value, layout in answers:
        text = json.dumps(value, indent=None if layout is None else 1)
        writer.write(part, text.replace("\n", layout if isinstance(layout, str) else "\n").encode())
    for text in texts:
        writer.write_text("usage_csv", text)
    writer.commit(receipt("r1"))

    read = list(zone.read("t1", "users"))

    assert [(part, value) for part, value, _ in answers] == [
        (part, json.loads(body)) for part, body in read[: len(answers)]
    ]
    assert texts == [body.decode() for part, body in read[len(answers) :]]
    assert zone.parts("t1", "users", "usage_csv") == [text.encode() for text in texts]


def test_one_line_answers_stay_as_received(zone: LandingZone) -> None:
    """An answer without line breaks is kept byte for byte."""
    body = b'{"value": [ "\\u00e4" ,\t1 ]}'
    land(zone, "r1", body)

    assert [("users", body)] == list(zone.read("t1", "users"))


def test_a_failed_read_leaves_the_certified_one(zone: LandingZone) -> None:
    """A read that is not complete keeps its receipt as the last attempt, and nothing of its data."""
    land(zone, "r1", PAGE)
    writer = zone.writer("t1", "users", "r2")
    writer.write("users", b"{}")
    failed = writer.commit(receipt("r2", "failed"))

    assert list(zone.read("t1", "users")) == [("users", PAGE)]
    assert zone.receipt("t1", "users").read_id == "r1"
    assert zone.last_attempt("t1", "users") == failed
    assert names(zone) == ["users.failed.json", "users.r1.jsonl.zst", "users.receipt.json"]


def test_a_certified_read_replaces_all_before_it(zone: LandingZone) -> None:
    """After a certified read neither the older file nor an older failure is left."""
    land(zone, "r1", PAGE)
    zone.writer("t1", "users", "r2").commit(receipt("r2", "failed"))
    kept = land(zone, "r3", b"{}")

    assert kept == zone.receipt("t1", "users") == zone.last_attempt("t1", "users")
    assert names(zone) == ["users.r3.jsonl.zst", "users.receipt.json"]


def test_streams_with_similar_names_do_not_touch_each_other(zone: LandingZone) -> None:
    """Replacing `user` leaves the file of `users` alone."""
    land(zone, "r1", PAGE, stream="users")
    land(zone, "r1", PAGE, stream="user")
    land(zone, "r2", PAGE, stream="user")

    assert list(zone.read("t1", "users")) == [("users", PAGE)]


def test_a_degraded_read_is_certified(zone: LandingZone) -> None:
    """A read that says why a part is missing replaces what was known."""
    land(zone, "r1", PAGE)
    zone.writer("t1", "users", "r2").commit(receipt("r2", "degraded"))

    assert list(zone.read("t1", "users")) == []


def test_a_restarted_stream_starts_over(zone: LandingZone) -> None:
    """What was written before `restart` is not in the read."""
    writer = zone.writer("t1", "users", "r1")
    writer.write("users", b"[1]")
    writer.restart()
    writer.write("users", b"[2]")
    writer.commit(receipt("r1"))

    assert list(zone.read("t1", "users")) == [("users", b"[2]")]


def test_never_read_is_not_empty(zone: LandingZone) -> None:
    """Reading a stream without a certified read is an error; an empty certified read is not."""
    zone.writer("t1", "users", "r1").commit(receipt("r1", "failed"))

    assert zone.receipt("t1", "users") is None
    assert zone.parts("t1", "users", "users") == []
    with pytest.raises(NotFoundError):
        zone.read("t1", "users")


def test_an_abandoned_read_leaves_no_trace(zone: LandingZone) -> None:
    """`abandon` removes the attempt and keeps no receipt of it."""
    writer = zone.writer("t1", "users", "r1")
    writer.write("users", PAGE)
    writer.abandon()

    assert zone.last_attempt("t1", "users") is None
    assert names(zone) == []


def test_a_writer_that_is_done_takes_nothing_more(zone: LandingZone) -> None:
    """Writing or certifying after the end is refused."""
    writer = zone.writer("t1", "users", "r1")
    writer.commit(receipt("r1"))

    with pytest.raises(LocalError):
        writer.write("users", PAGE)
    with pytest.raises(LocalError):
        writer.commit(receipt("r1"))


def test_a_receipt_of_another_read_is_refused(zone: LandingZone) -> None:
    """A receipt certifies the read it was written for, and no other."""
    with pytest.raises(ProtocolError):
        zone.writer("t1", "users", "r2").commit(receipt("r1"))

    assert names(zone) == []


def test_a_crash_before_the_receipt_leaves_the_old_pair(zone: LandingZone) -> None:
    """A data file without a receipt, as a crash after its rename leaves it, counts for nothing and is swept up."""
    land(zone, "r1", PAGE)
    folder = zone.root / "t1"
    (folder / "users.r2.jsonl.zst").write_bytes((folder / "users.r1.jsonl.zst").read_bytes()[:-3])

    assert list(zone.read("t1", "users")) == [("users", PAGE)]
    land(zone, "r3", b"{}")
    assert names(zone) == ["users.r3.jsonl.zst", "users.receipt.json"]


WRITE_FOR_EVER = """
import sys
from pathlib import Path
from o365_etl.store.landing import LandingZone
writer = LandingZone(Path(sys.argv[1])).writer("t1", "users", "r2")
while True:
    writer.write("users", b"[%r]" % list(range(1000)))
    print("written", flush=True)
"""


def test_a_killed_reader_leaves_the_old_pair(zone: LandingZone, child: Callable[..., subprocess.Popen[str]]) -> None:
    """A process killed in the middle of a stream leaves the certified read; the next writer sweeps up."""
    land(zone, "r1", PAGE)
    process = child(WRITE_FOR_EVER, zone.root)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert list(zone.read("t1", "users")) == [("users", PAGE)]
    assert any(path.name.endswith(".tmp") for path in (zone.root / "t1").iterdir())
    zone.writer("t1", "users", "r3").abandon()
    assert names(zone) == ["users.r1.jsonl.zst", "users.receipt.json"]


FILL_THE_DISK = """
import os, resource, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from o365_etl.errors import LocalError
from o365_etl.receipts import Receipt
from o365_etl.store.landing import LandingZone
now = datetime.now(UTC)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
writer = LandingZone(Path(sys.argv[1])).writer("t1", "users", "r2")
receipt = dict(source="t1", stream="users", read_id="r2", started_at=now, ended_at=now)
try:
    for _ in range(1000):
        writer.write("users", b'"' + os.urandom(5000).hex().encode() + b'"')
except LocalError as error:
    print(error.code)
try:
    writer.commit(Receipt(state="ok", **receipt))
except LocalError as error:
    print("not certified")
print(writer.commit(Receipt(state="failed", **receipt)).state)
"""


def test_a_full_disk_is_said_and_certifies_nothing(zone: LandingZone, run: Callable[..., str]) -> None:
    """A write that finds no room raises `disk_full`; the attempt can only fail, and the certified read stays."""
    land(zone, "r1", PAGE)

    assert run(FILL_THE_DISK, zone.root).split("\n") == ["disk_full", "not certified", "failed"]
    assert list(zone.read("t1", "users")) == [("users", PAGE)]
    assert names(zone) == ["users.failed.json", "users.r1.jsonl.zst", "users.receipt.json"]


@pytest.mark.parametrize("size", [0, 1, 10, -1])
def test_a_truncated_file_is_damaged(zone: LandingZone, size: int) -> None:
    """A file that is shorter than its receipt says is refused before the first answer."""
    land(zone, "r1", *[PAGE] * 50)
    path = zone.root / "t1" / "users.r1.jsonl.zst"
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(LocalError, match="damaged") as caught:
        next(zone.read("t1", "users"))
    assert caught.value.code == "damaged"


def test_a_changed_byte_is_damaged(zone: LandingZone) -> None:
    """No byte of the file can change without the end of the reading saying so."""
    land(zone, "r1", *[b'{"value":[%d]}' % number for number in range(300)])
    path = zone.root / "t1" / "users.r1.jsonl.zst"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])

        with pytest.raises(LocalError) as caught:
            list(zone.read("t1", "users"))
        assert caught.value.code == "damaged"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"source":"t1"}', "file of another folder", "no file"], ids=str
)
def test_a_damaged_receipt_is_said(zone: LandingZone, content: bytes | str) -> None:
    """A receipt that is no receipt, or that names a file elsewhere, is an error and never an empty read."""
    land(zone, "r1", PAGE)
    path = zone.root / "t1" / "users.receipt.json"
    if isinstance(content, str):
        name = "users.r9.jsonl.zst" if content == "no file" else "users./../../../t2/users.r1.jsonl.zst"
        content = path.read_bytes().replace(b"users.r1.jsonl.zst", name.encode())
    path.write_bytes(content)

    with pytest.raises(LocalError) as caught:
        list(zone.read("t1", "users"))
    assert caught.value.code == "damaged"


TRICKS = ["", ".", "..", "../x", "/etc", "a/b", "a\\b", "a\0b", ".hidden", "a" * 101, "é", "a\n", "~", "%2e", "a b"]


@pytest.mark.parametrize("name", TRICKS)
def test_names_that_are_paths_are_refused(zone: LandingZone, name: str) -> None:
    """Whatever a server calls a tenant, nothing outside the zone is made, read or deleted."""
    land(zone, "r1", PAGE)
    before = sorted(zone.root.parent.rglob("*"))

    for source, stream, read_id in [(name, "users", "r1"), ("t1", name, "r1"), ("t1", "users", name)]:
        with pytest.raises(ProtocolError):
            zone.writer(source, stream, read_id)
    for source, stream in [(name, "users"), ("t1", name)]:
        with pytest.raises(ProtocolError):
            zone.receipt(source, stream)
        with pytest.raises(ProtocolError):
            zone.read(source, stream)
    with pytest.raises(ProtocolError):
        zone.forget(name)
    writer = zone.writer("t1", "users", "r2")
    with pytest.raises(ProtocolError):
        writer.write(name, PAGE)
    writer.abandon()
    assert sorted(zone.root.parent.rglob("*")) == before


def test_sources_come_and_go(zone: LandingZone) -> None:
    """A source is known once it was written and gone once it is forgotten."""
    assert zone.sources() == []
    land(zone, "r1", PAGE)
    zone.writer("contoso.onmicrosoft.com", "users", "r1").abandon()

    assert zone.sources() == ["contoso.onmicrosoft.com", "t1"]
    zone.forget("t1")
    zone.forget("t1")
    assert zone.sources() == ["contoso.onmicrosoft.com"]


def test_only_this_user_may_look(zone: LandingZone) -> None:
    """Folders are 0700 and files 0600, whatever the umask."""
    land(zone, "r1", PAGE)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in zone.root.parent.rglob("*")}

    assert modes == {
        "landing": "0o700",
        "t1": "0o700",
        "users.r1.jsonl.zst": "0o600",
        "users.receipt.json": "0o600",
    }
    assert oct(zone.root.parent.stat().st_mode & 0o777) == "0o700"


def test_streams_are_written_side_by_side(zone: LandingZone) -> None:
    """Threads that write different streams of one source do not disturb each other."""

    def write(stream: str) -> None:
        for attempt in range(5):
            land(zone, f"r{attempt}", *[b'{"stream":"%b"}' % stream.encode()] * 40, stream=stream)

    threads = [threading.Thread(target=write, args=(f"s{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for number in range(8):
        assert zone.parts("t1", f"s{number}", f"s{number}") == [b'{"stream":"s%d"}' % number] * 40


def _page(user: str, token: str, filler: int) -> bytes:
    link = f"https://graph.test/v1.0/users?$skiptoken={token}"
    value = [{"id": user}, {"text": "x" * filler}, {"id": "last"}]
    return json.dumps({"@odata.context": "c", "@odata.nextLink": link, "value": value}).encode()


@pytest.mark.parametrize("filler", [1, 10_000], ids=["short", "long"])
def test_the_digest_tells_content_and_not_paging(zone: LandingZone, filler: int) -> None:
    """Two reads of the same have the same digest though their skip tokens differ; one changed user has another."""
    first, again, changed = (
        land(zone, read_id, _page(user, token, filler)).digest
        for read_id, user, token in (("r1", "u1", "a"), ("r2", "u1", "bb"), ("r3", "u2", "a"))
    )
    assert first is not None
    assert first == again
    assert first != changed


def test_the_digest_is_of_what_was_kept(zone: LandingZone) -> None:
    """What a restart threw away does not count; the same content under another part's name is other content."""
    writer = zone.writer("t1", "users", "r1")
    writer.write("users", b'{"value":[1]}')
    writer.restart()
    writer.write("users", PAGE)
    restarted = writer.commit(receipt("r1")).digest
    assert restarted == land(zone, "r2", PAGE).digest
    writer = zone.writer("t1", "users", "r3")
    writer.write("others", PAGE)
    assert writer.commit(receipt("r3")).digest != restarted


def names(zone: LandingZone) -> list[str]:
    return sorted(path.name for path in (zone.root / "t1").iterdir())


def test_the_file_is_what_the_documentation_says(zone: LandingZone, tmp_path: Path) -> None:
    """A file can be read by any program that knows zstd and JSON Lines."""
    writer = zone.writer("t1", "mailboxes", "r1")
    writer.write("report_settings", b'{"a":\n1}')
    writer.write_text("usage_csv", "x,y\r\n1,2\r\n")
    writer.commit(receipt("r1", stream="mailboxes"))
    with pa.input_stream(str(zone.root / "t1" / "mailboxes.r1.jsonl.zst"), compression="zstd") as stream:
        lines = stream.read().decode().splitlines()

    assert [json.loads(line) for line in lines] == [
        {"part": "report_settings", "body": {"a": 1}},
        {"part": "usage_csv", "text": "x,y\r\n1,2\r\n"},
    ]
