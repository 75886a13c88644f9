"""Reads one tenant: its streams as tasks that start one another.

    open (sign in, organization) ─┬─ domains
                                  ├─ users ────┬─ mailboxes ─ types, one task per batch ─ end
                                  └─ licenses ─┴─ sign-ins

One failing stream fails alone; without the first there is nothing to read. What does not live here: what a stream
asks (`streams`, `changes`, `mailboxes`), and which task runs when (`scheduling`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from o365_etl.config import Connection, is_guid
from o365_etl.errors import LocalError, O365EtlError
from o365_etl.graph import changes, rights, streams
from o365_etl.graph.client import TenantClient
from o365_etl.graph.defects import internal_error, invalid_id, named_twice
from o365_etl.graph.directory import Directory, KnownType
from o365_etl.graph.mailbox_types import load_known
from o365_etl.graph.mailboxes import MailboxReading, earlier_report
from o365_etl.graph.model import STREAMS, TenantResult, TenantTarget
from o365_etl.graph.recording import Recording
from o365_etl.graph.scheduling import Pool, Step
from o365_etl.graph.session import GraphSession
from o365_etl.graph.status import tenant_status
from o365_etl.graph.transport import Tally
from o365_etl.receipts import Landing, Receipt

log = logging.getLogger(__name__)


class TenantRead:
    """One tenant on its way through the pool. `done` is called once, from whichever thread is last.

    `claim` is asked once the tenant's id is known and says False if another target turned out to be the same tenant.
    `full`: all users are read, also where a read of what changed would do.
    """

    def __init__(
        self,
        session: GraphSession,
        target: TenantTarget,
        landing: Landing,
        read_id: str,
        pool: Pool,
        *,
        full: bool,
        claim: Callable[[str], bool],
        done: Callable[[TenantResult], None],
    ) -> None:
        self._session = session
        self._target = target
        self._landing = landing
        self._read_id = read_id
        self._pool = pool
        self._full = full
        self._claim = claim
        self._done = done
        self._lock = threading.Lock()
        self._started_at = datetime.now(UTC)
        self._tenant_id: str | None = None
        self._roles: frozenset[str] | None = None
        self._connection: Connection
        self._client: TenantClient
        self._directory = Directory({})
        self._in_vain = Tally()  # what a read of changes cost that came to nothing
        self._licensing = streams.Licensing()
        self._receipts: dict[str, Receipt] = {}
        self._users_recording: Recording | None = None
        self._lists_left = 2
        self._batches_left = 0
        self._defect: O365EtlError | None = None
        self._announced = False

    def start(self) -> None:
        """Queue the first task."""
        self._submit(Step.OPEN, self._open)

    def _submit(self, step: Step, task: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                task()
            except Exception as error:  # a defect of ours costs this tenant, not the others
                self._give_up(internal_error(error))

        self._pool.submit(step, guarded)

    def _open(self) -> None:
        """Sign in and ask the tenant who it is; then queue the rest."""
        self._started_at = datetime.now(UTC)
        try:
            receipt = self._read_organization()
        except O365EtlError as error:
            receipt = self._refused(error)
        self._receipts["tenants"] = receipt
        if not receipt.certified:
            self._finish()
            return
        self._submit(Step.LISTS, self._users)
        self._submit(Step.LISTS, self._licenses)
        self._submit(Step.LEAF, partial(self._attempt, "domains", partial(streams.domains, self._client)))

    def _read_organization(self) -> Receipt:
        """The first answer tells whose tenant this is; only then is anything landed, and under that id."""
        target = self._target
        if target.kind == "partner" and not is_guid(target.tenant_id):
            raise invalid_id()
        self._connection = self._session.connection(target.connection)
        self._client = self._session.client(self._connection, target.tenant_id)
        tally = Tally()
        self._roles = rights.granted(self._client.sign_in.token())
        tenant_id, body = streams.organization(self._client, tally)
        if is_guid(target.tenant_id) and tenant_id != target.tenant_id.lower():
            raise streams.wrong_tenant()
        if not self._claim(tenant_id):
            raise named_twice()
        self._tenant_id = tenant_id
        recording = Recording(self._landing, tenant_id, "tenants", self._read_id, self._started_at)
        recording.tally.add(tally)
        recording.page("organization", body, rows=1)
        return recording.ok()

    def _users(self) -> None:
        changed = self._read_changes()
        if changed is not None:
            self._settle("users", changed)
        else:
            self._attempt("users", self._read_users)
        self._lists_done()

    def _read_changes(self) -> Receipt | None:
        """The receipt of the users as they stand after a read of what changed; None if they are to be read in full."""
        tenant_id = str(self._tenant_id)
        try:
            base = None if self._full else changes.base_of(self._landing, tenant_id, self._connection)
            if base is None:
                return None
            self._directory = Directory(self._known_types())
            recording = Recording(self._landing, tenant_id, changes.STREAM, self._read_id)
            recording.tally = self._in_vain
            return changes.read(self._client, self._landing, recording, base, self._directory)
        except Exception as error:  # the full read needs nothing of what went wrong here
            cause = error if isinstance(error, O365EtlError) else internal_error(error)
            log.info("reading all users instead of what changed (%s)", cause.code)
            return None

    def _read_users(self, recording: Recording) -> None:
        self._directory = Directory(self._known_types())
        recording.tally.add(self._in_vain)
        if self._connection.users_delta:
            recording.bookmark = changes.link_from_now(self._client, recording.tally)
        streams.users(self._client, recording, self._directory)
        self._users_recording = recording  # concluded when the licenses say whether to believe an empty list

    def _known_types(self) -> dict[str, KnownType]:
        try:
            return load_known(self._landing.parts(str(self._tenant_id), "mailboxes", "types"))
        except LocalError as error:
            log.warning("%s; the mailbox types are asked for anew", error.message)
            return {}

    def _licenses(self) -> None:
        def read(recording: Recording) -> Receipt:
            receipt, self._licensing = streams.licenses(self._client, recording)
            return receipt

        self._attempt("licenses", read)
        self._lists_done()

    def _lists_done(self) -> None:
        with self._lock:
            self._lists_left -= 1
            if self._lists_left:
                return
        if self._users_recording is not None:
            self._conclude("users", self._users_recording, partial(self._judge_users, self._users_recording))
            if self._receipts["users"].certified:
                changes.forget(self._landing, str(self._tenant_id))
        if self._receipts["users"].certified:
            self._submit(Step.MAILBOXES, partial(self._attempt, "mailboxes", self._begin_mailboxes))
            self._submit(Step.LEAF, partial(self._attempt, "sign_ins", self._read_sign_ins))
        else:
            for stream in ("mailboxes", "sign_ins"):
                self._attempt(stream, lambda recording: recording.skipped("users_failed"))

    def _judge_users(self, recording: Recording) -> Receipt:
        """An empty list of users is believed only of a tenant that never had any and consumes no licenses."""
        if recording.rows == 0:
            earlier = self._landing.receipt(str(self._tenant_id), "users")
            if self._licensing.consumed != 0 or (earlier is not None and earlier.rows > 0):
                return recording.failed(streams.zero_users())
        return recording.ok()

    def _read_sign_ins(self, recording: Recording) -> Receipt:
        # No delta query tells sign-ins: their listing, twice the pages of the users, comes with a full read.
        if self._receipts["users"].reason == changes.ONLY_CHANGES:
            earlier = self._landing.receipt(str(self._tenant_id), "sign_ins")
            if earlier is not None and earlier.state == "ok":
                return recording.skipped("with_full_read")
        return streams.sign_ins(self._client, recording, self._licensing)

    def _begin_mailboxes(self, recording: Recording) -> Receipt | None:
        before = earlier_report(self._landing, str(self._tenant_id))
        reading = MailboxReading(self._client, recording, self._directory, before)
        batches = reading.begin()
        if batches:
            reading.ask(batches[0], recording.tally)  # alone, because it shows whether asking is of any use
        rest = batches[1:] if reading.survey.asking else []
        if not rest:
            return reading.end()
        self._batches_left = len(rest)
        for batch in rest:
            self._submit(Step.MAILBOXES, partial(self._ask_types, reading, recording, batch))
        return None

    def _ask_types(self, reading: MailboxReading, recording: Recording, user_ids: list[str]) -> None:
        tally = Tally()
        try:
            reading.ask(user_ids, tally)
        except Exception as error:  # as in `_submit`, but the other batches still have to come in
            self._defect = internal_error(error)
        with self._lock:
            recording.tally.add(tally)
            self._batches_left -= 1
            if self._batches_left:
                return
        defect = self._defect
        self._conclude("mailboxes", recording, reading.end if defect is None else partial(recording.failed, defect))

    def _attempt(self, stream: str, read: Callable[[Recording], Receipt | None]) -> None:
        """Read a stream; whatever goes wrong becomes its receipt. A `read` without receipt is concluded later."""
        try:
            recording = Recording(self._landing, str(self._tenant_id), stream, self._read_id)
        except O365EtlError as error:
            self._settle(stream, self._unrecorded(stream, error))
            return
        self._conclude(stream, recording, partial(read, recording))

    def _conclude(self, stream: str, recording: Recording, end: Callable[[], Receipt | None]) -> None:
        try:
            receipt = end()
        except O365EtlError as error:
            receipt = recording.failed(error)
        except Exception as error:  # as in `_submit`, but here the stream alone is lost
            receipt = recording.failed(internal_error(error))
        if receipt is not None:
            self._settle(stream, receipt)

    def _settle(self, stream: str, receipt: Receipt) -> None:
        with self._lock:
            self._receipts[stream] = receipt
            complete = len(self._receipts) == len(STREAMS)
        if complete:
            self._finish()

    def _refused(self, error: O365EtlError) -> Receipt:
        """The receipt of a tenant that could not be opened. An answer of the wrong tenant leaves no trace at all."""
        target_id = self._target.tenant_id
        if is_guid(target_id) and error.code not in ("wrong_tenant", "named_twice"):
            try:
                return Recording(self._landing, target_id, "tenants", self._read_id, self._started_at).failed(error)
            except O365EtlError as disk_error:
                error = disk_error
        return self._unrecorded("tenants", error)

    def _unrecorded(self, stream: str, error: O365EtlError) -> Receipt:
        return Receipt(
            source=self._tenant_id or self._target.tenant_id,
            stream=stream,
            read_id=self._read_id,
            state="failed",
            started_at=self._started_at,
            ended_at=datetime.now(UTC),
            error_code=error.code,
            message=error.message,
            remedy=error.remedy,
        )

    def _finish(self) -> None:
        users = self._users_in_force()
        status, cause = tenant_status(self._receipts, users_known=users is not None)
        judged = self._judge_rights()
        self._announce(
            TenantResult(
                target=self._target,
                status=status,
                tenant_id=self._tenant_id,
                receipts=[self._receipts[stream] for stream in STREAMS if stream in self._receipts],
                error_code=(cause.error_code or cause.reason) if cause else None,
                message=cause.message if cause else None,
                remedy=cause.remedy if cause else None,
                as_of=users.ended_at if users else None,
                roles=None if self._roles is None else sorted(self._roles),
                missing_permissions=None if judged is None else [need.permission for need in judged.missing],
                excess_permissions=None if judged is None else judged.excess,
            )
        )

    def _judge_rights(self) -> rights.Judgement | None:
        if self._roles is None:
            return None
        sign_ins = self._receipts.get("sign_ins")
        premium = False if sign_ins is not None and sign_ins.reason == "no_premium" else None
        cloud = self._client.sign_in.connection.cloud
        return rights.judge(self._roles, rights.tenant_needs(cloud, premium=premium), self._target.kind)

    def _give_up(self, error: O365EtlError) -> None:
        self._announce(
            TenantResult(
                target=self._target,
                status="failed",
                tenant_id=self._tenant_id,
                receipts=list(self._receipts.values()),
                error_code=error.code,
                message=error.message,
                remedy=error.remedy,
            )
        )

    def _announce(self, result: TenantResult) -> None:
        with self._lock:
            if self._announced:
                return  # given up already, while another of its tasks was still running
            self._announced = True
        self._done(result)

    def _users_in_force(self) -> Receipt | None:
        tenant_id = self._tenant_id or self._target.tenant_id
        try:
            return changes.in_force(self._landing, tenant_id).get("users") if is_guid(tenant_id) else None
        except O365EtlError:
            return None  # a damaged receipt certifies nothing
