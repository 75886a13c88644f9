"""Sends writes, each once: the intent before the request, the outcome after the answer.

Where no answer came, IT Glue is read before anything is sent again; what cannot be found out now stays open for the
next run to find out. A POST is never simply repeated. What does not live here: which changes to send (`apply`).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from o365_etl.errors import (
    NotFoundError,
    O365EtlError,
    OutcomeUnknownError,
    RejectedError,
    TransientError,
    UnsupportedError,
)
from o365_etl.sync.changes import Change, Row
from o365_etl.sync.payloads import Attributes, Edited, Lookups, Unresolved, changed_record, new_type_fields
from o365_etl.sync.ports import Endpoint, Journal, Live, Outcome, Records
from o365_etl.sync.recognise import addresses_of, is_it, is_young

# How long to wait before looking whether a write without an answer was done; the server may still be at it.
_LOOK_AFTER = (0.5, 2.0, 5.0)
# What is said of changes that are still to be done: the run stopped before them, or an earlier one did not do them.
NOT_SENT = "not sent: the run stopped before"
NOT_DONE = "no answer came, and IT Glue shows that it was not done"
ENDPOINTS: Mapping[str, Endpoint] = {
    "organization": "organizations",
    "location": "locations",
    "contact": "contacts",
    "flexible_asset_type": "flexible_asset_types",
    "license_asset": "flexible_assets",
    "user_asset": "flexible_assets",
}


@dataclass
class Applied:
    """What became of a run's changes: how many `applied`, `failed`, `skipped`, `open` (nobody knows yet).

    `error` stopped the run (nothing after it was sent), `is_stopped` says that a person did.
    """

    counts: Counter[str] = field(default_factory=Counter)
    error: O365EtlError | None = None
    is_stopped: bool = False


@dataclass
class Write:
    """One change on its way: its row, what is sent, and its number in the journal."""

    row: Row
    change: Change
    attributes: Attributes
    number: int = 0
    opened_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class Sender:
    """Sends the writes of one run, from several threads; `done` counts what became of them.

    Once `stop` is set nothing more is sent.
    """

    def __init__(
        self, records: Records, journal: Journal, run_id: str, lookups: Lookups, stop: threading.Event
    ) -> None:
        self.records, self.lookups, self.stop = records, lookups, stop
        self.done = Applied()
        self._journal, self._run_id = journal, run_id
        self._lock = threading.Lock()
        self._can_bulk = self._may_lack_types = True

    def resolve_pending(self) -> dict[str, Outcome]:
        """Find out what became of the writes that an earlier run sent and got no answer for; change id → outcome."""
        outcomes: dict[str, Outcome] = {}
        pending = [
            Write(row, Change.of_row(row), {}, int(row["number"]), row["opened_at"]) for row in self._journal.pending()
        ]
        for write, live in zip(pending, self._look_for(pending), strict=True):
            if live is not None:
                self._close((write, live))
                outcomes[write.row["change_id"]] = "applied"
            else:
                self._finish(write, "failed", NOT_DONE)
                outcomes[write.row["change_id"]] = "failed"
        return outcomes

    def asset_type(self, resource: str) -> str:
        """The id of the type of such assets; where the plan knew none, an earlier run may have created it since.

        Raises `Unresolved`.
        """
        try:
            return self.lookups.asset_type(resource)
        except Unresolved:
            with self._lock:
                if self._may_lack_types:
                    self.learn_asset_types()
                    self._may_lack_types = False
        return self.lookups.asset_type(resource)

    def learn_asset_types(self) -> None:
        """Look up which asset types the account has."""
        found = self.records.find("flexible_asset_types")
        self.lookups.asset_types.update({str(live.attributes.get("name")): live.id for live in found})

    def fail(self, error: O365EtlError) -> None:
        """Stop the run: the first error is the one that counts."""
        with self._lock:
            self.done.error = self.done.error or error
        self.stop.set()

    def send(self, writes: list[Write], organization_id: str | None = None) -> list[Live | None]:
        """Send writes of one kind, note what became of each, and return the records; None where there is none.

        Raises what stops the run: a key that may not write, a server that is not to be reached.
        """
        if self.stop.is_set() or not writes:
            return [None] * len(writes)
        numbers = self._journal.open(self._run_id, [write.row for write in writes])
        for write, number in zip(writes, numbers, strict=True):
            write.number = number
        is_rejected = False
        if len(writes) > 1 and self._can_bulk:
            try:
                found = self._many(writes, organization_id)
            except UnsupportedError:
                self._can_bulk = False
            except RejectedError:
                is_rejected = True  # one of them is to blame: which one, only single requests tell
            except OutcomeUnknownError:
                return self._find_out(writes)
            except O365EtlError as error:
                self._give_up(writes, error)
                raise
            else:
                self._close(*zip(writes, found, strict=True))
                return list(found)
            # Refused as a whole, so nothing of it should be there. Look all the same before anything is sent again.
            looked = self._look_for(writes) if writes[0].change.action == "create" else [None] * len(writes)
        else:
            looked = [None] * len(writes)
        done: list[Live | None] = []
        for place, (write, live) in enumerate(zip(writes, looked, strict=True)):
            if live is not None:
                self._close((write, live))
                done.append(live)
            elif self.stop.is_set():
                self._finish(write, "skipped", NOT_SENT)
                done.append(None)
            else:
                try:
                    done.append(self._single(write, organization_id))
                except O365EtlError:
                    self._give_up(writes[place + 1 :], None)
                    raise
        if is_rejected and None not in done:
            self._can_bulk = False  # none of them was to blame: this account takes no bulk requests
        return done

    def _many(self, writes: list[Write], organization_id: str | None) -> Sequence[Live]:
        endpoint = ENDPOINTS[writes[0].change.resource]
        if writes[0].change.action == "create":
            if organization_id is None:
                raise UnsupportedError("records of one organization only are created together")
            return self.records.create_many(endpoint, organization_id, [write.attributes for write in writes])
        return self.records.update_many(endpoint, [(str(write.change.target_id), write.attributes) for write in writes])

    def _single(self, write: Write, organization_id: str | None) -> Live | None:
        endpoint, change = ENDPOINTS[write.change.resource], write.change
        try:
            if change.action == "create":
                extra = {"organization-id": organization_id} if organization_id else {}
                live = self.records.create(endpoint, {**write.attributes, **extra}, self._relationships(change))
            else:
                live = self.records.update(endpoint, str(change.target_id), write.attributes)
        except OutcomeUnknownError:
            return self._find_out([write])[0]
        except (RejectedError, UnsupportedError) as error:
            self._finish(write, "failed", error.message)
            return None
        except NotFoundError:
            self._finish(write, "skipped", "it is gone from IT Glue since the plan was made")
            return None
        except O365EtlError as error:
            self._give_up([write], error)
            raise
        self._close((write, live))
        return live

    def _relationships(self, change: Change) -> dict[str, Any] | None:
        if change.resource != "flexible_asset_type":
            return None
        fields = new_type_fields(change.fields["name"].new, self.lookups)
        rows = [{"type": "flexible_asset_fields", "attributes": attributes} for attributes in fields]
        return {"flexible-asset-fields": {"data": rows}}

    def _find_out(self, writes: Sequence[Write]) -> list[Live | None]:
        """No answer came: read IT Glue until it shows the writes, for a few seconds; else they stay open."""
        found: dict[int, Live] = {}
        for seconds in _LOOK_AFTER:
            time.sleep(seconds)
            left = [write for write in writes if write.number not in found]
            try:
                looked = self._look_for(left)
            except TransientError:
                continue  # it may be back in a moment
            for write, live in zip(left, looked, strict=True):
                if live is not None:
                    self._close((write, live))
                    found[write.number] = live
            if len(found) == len(writes):
                break
        else:
            self._count("open", len(writes) - len(found))
        return [found.get(write.number) for write in writes]

    def _look_for(self, writes: Sequence[Write]) -> list[Live | None]:
        """The records as these writes would have left them; None where there is none. Each list is read once."""
        lists: dict[tuple[str, str | None], Sequence[Live]] = {}
        found: list[Live | None] = []
        for write in writes:
            change, row = write.change, write.row
            if change.action != "create":
                found.append(self._updated(change))
                continue
            key = (change.resource, row["organization_id"])
            if key not in lists:
                lists[key] = self._candidates(change, row)
            found.append(_created_by(write, lists[key]))
        return found

    def _updated(self, change: Change) -> Live | None:
        """The record of an update, if it says what the update was to make it say."""
        record = self.records.get(ENDPOINTS[change.resource], str(change.target_id))
        if record is None:
            return None
        try:
            rest = changed_record(change, record.attributes, self.lookups, {})
        except (Edited, Unresolved):
            return None
        return record if rest is None else None

    def _candidates(self, change: Change, row: Row) -> Sequence[Live]:
        organization_id = row["organization_id"]
        if change.resource == "flexible_asset_type":
            return self.records.find("flexible_asset_types")
        if change.resource == "organization":
            return self.records.find("organizations")
        if change.resource in ("license_asset", "user_asset"):
            try:
                type_id = self.asset_type(change.resource)
            except Unresolved:
                return []
            return self.records.find("flexible_assets", flexible_asset_type_id=type_id, organization_id=organization_id)
        return self.records.find(ENDPOINTS[change.resource], organization_id=organization_id)

    def _close(self, *done: tuple[Write, Live]) -> None:
        """These writes were done: close them, and remember what they created, in one go."""
        outcomes = []
        for write, live in done:
            change, organization_id = write.change, write.row["organization_id"]
            outcome: dict[str, Any] = {"number": write.number, "state": "applied", "target_id": live.id}
            if change.action == "create" and change.resource == "contact" and change.subject_id:
                outcome["link"] = (str(change.tenant_id), change.subject_id, str(organization_id), live.id)
            elif change.action == "create" and change.resource == "organization":
                outcome["tenant_link"] = (str(change.tenant_id), live.id)
            elif change.action == "create" and change.resource == "location":
                outcome["place"] = (str(change.tenant_id), "location", None, live.id)
            outcomes.append(outcome)
        self._journal.close(outcomes)
        self._count("applied", len(outcomes))

    def _finish(self, write: Write, state: Outcome, message: str) -> None:
        self._journal.close([{"number": write.number, "state": state, "message": message}])
        self._count(state)

    def _give_up(self, writes: Sequence[Write], error: O365EtlError | None) -> None:
        """Nothing was done, and nothing more will be sent."""
        for write in writes:
            if error is None:
                self._finish(write, "skipped", NOT_SENT)
            else:
                self._finish(write, "failed", error.message)

    def note(self, rows: Sequence[Row], state: Outcome, message: str) -> None:
        """Note changes that end without a request."""
        if rows:
            self._journal.record(self._run_id, rows, state, message)
            self._count(state, len(rows))

    def _count(self, state: str, number: int = 1) -> None:
        with self._lock:
            self.done.counts[state] += number


def _created_by(write: Write, candidates: Sequence[Live]) -> Live | None:
    """The one record that this create may have made."""
    change = write.change
    found = [live for live in candidates if is_it(change, live)]
    if change.resource in ("contact", "organization", "location") and not addresses_of(change):
        # Told by nothing but a name: it has to be as young as the write.
        found = [live for live in found if is_young(live, write.opened_at)]
    return found[0] if len(found) == 1 else None
