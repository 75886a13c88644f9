"""Finds out which mailboxes are shared, rooms or equipment, without Exchange PowerShell and with few requests.

In this order: what is known from before; the beta report, one request for 999 mailboxes; `mailboxSettings`, twenty
users a request; and, where that is not allowed, a guess that says it is one.

What does not live here: who is a candidate (`directory`), the report's figures (`mailboxes`).
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import quote

import msgspec

from o365_etl.errors import O365EtlError, TransientError
from o365_etl.graph.answers import decode_mailbox_rows
from o365_etl.graph.client import BatchItem, TenantClient
from o365_etl.graph.directory import Candidate, Directory, KnownType
from o365_etl.graph.recording import Recording
from o365_etl.graph.refusals import error_code
from o365_etl.graph.transport import Tally
from o365_etl.graph.waiting import jitter, retry_after

log = logging.getLogger(__name__)

BATCH_SIZE = 20  # Graph's limit
WORTH_A_REPORT = 20  # up to here one batch tells it all
_ROWS_PER_PAGE = 999
_TRIES = 6
_NO_MAILBOX = {"mailboxnotenabledforrestapi", "resourcenotfound", "erroritemnotfound"}
_PERMISSION = "MailboxSettings.Read"


class Purpose(msgspec.Struct, frozen=True):
    """What `mailboxSettings` said of one user. If it is `told`, no purpose means no mailbox."""

    user_id: str
    status: int
    purpose: str | None = None
    told: bool = False


class _Value(msgspec.Struct):
    value: str | _Value | None = None


_decode_value = msgspec.json.Decoder(_Value).decode
_decode_known = msgspec.json.Decoder(dict[str, KnownType]).decode


def load_known(bodies: Sequence[bytes]) -> dict[str, KnownType]:
    """The types of the last certified read; empty if there was none, or if it was written in another way."""
    try:
        return _decode_known(bodies[-1]) if bodies else {}
    except msgspec.DecodeError:
        return {}


class TypeSurvey:
    """Asks for the open mailbox types of one tenant. `ask` may be called from several threads."""

    def __init__(self, client: TenantClient, directory: Directory) -> None:
        self._client = client
        self._directory = directory
        self._told: dict[str, KnownType] = {}
        self._purposes: dict[str, Purpose] = {}
        self._lock = threading.Lock()
        # asking: go on · refused: nobody will be told, guess · broken: not now, keep what is known
        self._state: Literal["asking", "refused", "broken"] = "asking"

    def ask_report(self, recording: Recording) -> None:
        """The beta report, as long as it costs no more than one request above what the batches alone would."""
        directory = self._directory
        left = dict(directory.open)
        budget = _batches(len(left)) + 1
        likely_pages = math.ceil(directory.mailboxes / _ROWS_PER_PAGE)
        if len(left) <= WORTH_A_REPORT or likely_pages > _batches(len(left)):
            return
        by_name = {candidate.upn: user_id for user_id, candidate in left.items() if candidate.upn}
        path = f"reports/getMailboxUsageDetail(period='D7')?$format=application/json&$top={_ROWS_PER_PAGE}"
        pages = self._client.pages(
            path, decode_mailbox_rows, recording.tally, permission="Reports.Read.All", version="beta"
        )
        try:
            for number, (body, page) in enumerate(pages, start=1):
                rows = [row for row in page.value if row.recipient_type]
                if len(rows) < len(page.value):
                    return  # an answer without the undocumented field, or only half with it, proves nothing
                recording.page("recipient_types", body, counts=False)
                for row in rows:
                    user_id = by_name.get((row.upn or "").lower())
                    if user_id is not None and not row.is_deleted:
                        kind = _word(row.recipient_type)
                        self._told[user_id] = KnownType(kind, "report", left[user_id].mark)
                if number + 1 + _batches(len(left) - len(self._told)) > budget:
                    return
        except O365EtlError as error:
            log.info("the beta mailbox report is not to be had (%s); asking mailbox by mailbox", error.code)

    def questions(self) -> list[list[str]]:
        """The users still to be asked about, in batches; new and changed ones before those only guessed so far."""
        ids = [i for i in self._directory.open if i not in self._told] + list(self._directory.guessed)
        return [ids[start : start + BATCH_SIZE] for start in range(0, len(ids), BATCH_SIZE)]

    @property
    def asking(self) -> bool:
        """False once it turned out that nothing will be told."""
        return self._state == "asking"

    def ask(self, user_ids: Sequence[str], tally: Tally) -> None:
        """One batch. Whatever goes wrong leaves types open and never fails the stream."""
        if not self.asking:
            return
        state: Literal["asking", "refused", "broken"] = "asking"
        purposes: list[Purpose] = []
        try:
            purposes = self._ask_patiently(user_ids, tally)
            if purposes and all(purpose.status == 403 for purpose in purposes):
                state = "refused"
        except TransientError as error:
            log.info("mailbox types cannot be asked now (%s)", error.code)
            state = "broken"
        except O365EtlError as error:
            log.info("mailbox types cannot be asked (%s)", error.code)
            state = "refused"
        with self._lock:
            self._purposes.update((purpose.user_id, purpose) for purpose in purposes)
            if self._state == "asking":
                self._state = state

    def land(self, recording: Recording) -> None:
        """Write what was told, and the full map of types for the next sync."""
        if self._purposes:
            answers = msgspec.json.encode(list(self._purposes.values()))
            recording.page("mailbox_settings", answers, counts=False)
        # In order, so that the same types make the same digest, however they were found out.
        recording.page("types", msgspec.json.encode(dict(sorted(self._types().items()))))

    def _ask_patiently(self, user_ids: Sequence[str], tally: Tally) -> list[Purpose]:
        """Ask until every item is answered, and only for those that are not; a throttled item closes the gate."""
        left = list(user_ids)
        answers: list[Purpose] = []
        for attempt in range(_TRIES):
            items = self._client.batch([_settings_url(user_id) for user_id in left], tally, permission=_PERMISSION)
            final = {int(i.id): i for i in items if i.id.isdecimal() and i.status != 429 and i.status < 500}
            answers += [_purpose(user_id, final[n]) for n, user_id in enumerate(left) if n in final]
            left = [user_id for n, user_id in enumerate(left) if n not in final]
            if not left:
                return answers
            if attempt < _TRIES - 1:
                self._client.gate.close(jitter(max([float(2**attempt), *_waits(items)])))
        return answers + [Purpose(user_id, 429) for user_id in left]

    def _types(self) -> dict[str, KnownType]:
        directory = self._directory
        candidates: Mapping[str, Candidate] = {**directory.open, **directory.guessed}
        types = {i: known for i, known in directory.known.items() if i in directory.ids and i not in candidates}
        for user_id, candidate in candidates.items():
            found = self._told.get(user_id) or self._type_of(user_id, candidate)
            if found is not None:
                types[user_id] = found
        return types

    def _type_of(self, user_id: str, candidate: Candidate) -> KnownType | None:
        answer = self._purposes.get(user_id)
        if answer is not None and answer.told:
            return KnownType(answer.purpose, "mailbox_settings", candidate.mark)
        known = self._directory.known.get(user_id)
        if known is not None and known.source != "heuristic":
            # The old mark stays with the old type, so that the next sync asks again.
            return KnownType(known.type, "last_known", known.mark)
        if self._state == "refused" or (answer is not None and answer.status == 403):
            return KnownType(_guess(candidate), "heuristic", candidate.mark)
        return known


def _guess(candidate: Candidate) -> str | None:
    """A shared mailbox is an ordinary disabled account that receives mail without a license of its own."""
    return "shared" if candidate.enabled is False and not candidate.has_plan else None


def _settings_url(user_id: str) -> str:
    return f"/users/{quote(user_id, safe='')}/mailboxSettings/userPurpose"


def _purpose(user_id: str, item: BatchItem) -> Purpose:
    if item.status == 404:
        # A user deleted meanwhile is also a 404: only Exchange's own words say that there is no mailbox.
        return Purpose(user_id, 404, told=error_code(item.body) in _NO_MAILBOX)
    word = _purpose_word(item.body) if item.status == 200 else None
    return Purpose(user_id, item.status, word, told=word is not None)


def _purpose_word(body: msgspec.Raw) -> str | None:
    """`{"value":"user"}`, or, in one of Microsoft's samples, `{"value":{"value":"user"}}`."""
    try:
        value = _decode_value(body).value
    except msgspec.DecodeError:
        return None
    if isinstance(value, _Value):
        value = value.value
    return _word(value) if isinstance(value, str) else None


def _word(text: str | None) -> str | None:
    """`Shared` and `SharedMailbox` of the report, `shared` of the settings: one vocabulary."""
    return (text or "").strip().lower().removesuffix("mailbox") or None


def _waits(items: Iterable[BatchItem]) -> list[float]:
    waits = (retry_after(item.headers or {}) for item in items if item.status == 429 or item.status >= 500)
    return [seconds for seconds in waits if seconds is not None]


def _batches(users: int) -> int:
    return math.ceil(users / BATCH_SIZE)
