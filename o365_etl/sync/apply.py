"""Writes a plan to IT Glue: tenant by tenant, in an order in which everything that is referred to is there already.

Records are read again right before they are written: one that changed since the plan is left alone. A few threads write
tenants, each tenant is written by one: its organization, location, contacts, assets, in this order.
What does not live here: the plan, approvals and brakes (the pipeline), and how a write is sent once (`sending`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from o365_etl.errors import O365EtlError
from o365_etl.normalise import normalise
from o365_etl.sync.changes import Change, Row, owned_by
from o365_etl.sync.payloads import Edited, Unresolved, addresses, changed_record, new_record
from o365_etl.sync.ports import Live
from o365_etl.sync.recognise import addresses_of, asset_key, has_contact, name_in, name_of
from o365_etl.sync.sending import Applied, Sender, Write

THREADS = 4
# Records written by one request.
BULK = 50
_ORDER = ("organization", "location", "contact", "license_asset", "user_asset")


class Applier:
    """Applies the changes of one run. `known_contacts` gives, by organization, the contacts that the plan knew;
    `created` maps users to the contacts that an earlier run created of this very plan.
    """

    def __init__(
        self, sender: Sender, known_contacts: Callable[[str], frozenset[str]], created: Mapping[str, str]
    ) -> None:
        self._sender, self._known_contacts, self._created = sender, known_contacts, created

    def apply(self, tenants: Iterable[list[Row]], on_done: Callable[[Counter[str]], None]) -> Applied:
        """Write the changes, a list for each tenant (the account's own first). Never raises what a write raised: it is
        in the result, with what was done.
        """
        with ThreadPoolExecutor(THREADS, thread_name_prefix="apply") as pool:
            waiting: set[Future[None]] = set()
            for rows in tenants:
                if self._sender.stop.is_set():
                    break
                if rows[0]["tenant_id"] is None:
                    self._guarded(self._account, rows)
                    continue
                waiting.add(pool.submit(self._guarded, self._tenant, rows))
                if len(waiting) >= 2 * THREADS:
                    waiting = _still_waiting(waiting)
                on_done(self._sender.done.counts)
            while waiting:
                waiting = _still_waiting(waiting, timeout=0.5)
                on_done(self._sender.done.counts)
        self._sender.done.is_stopped = self._sender.stop.is_set() and self._sender.done.error is None
        return self._sender.done

    def _guarded(self, work: Callable[[list[Row]], None], rows: list[Row]) -> None:
        """One tenant; what stops it stops the run, for it would stop the others as well."""
        if self._sender.stop.is_set():
            return
        try:
            work(rows)
        except O365EtlError as error:
            self._sender.fail(error)
        except BaseException:
            self._sender.stop.set()
            raise

    # --- what there is to write

    def _account(self, rows: list[Row]) -> None:
        """Our asset types, where the account still lacks them."""
        self._sender.learn_asset_types()
        names = self._sender.lookups.asset_types
        for row in rows:
            change = Change.of_row(row)
            name = change.fields["name"].new
            if name in names:
                self._sender.note([row], "skipped", "it is there since the plan was made")
                continue
            write = Write(row, change, {"name": name, "icon": "cloud", "description": "Kept by o365_etl."})
            live = self._sender.send([write])[0]
            if live is not None:
                names[name] = live.id

    def _tenant(self, rows: list[Row]) -> None:
        by_resource: dict[str, list[Row]] = {name: [] for name in _ORDER}
        for row in rows:
            by_resource[row["resource"]].append(row)
        organization_id = self._organization(by_resource["organization"], rows)
        if organization_id is None:
            return
        for name in _ORDER[1:]:
            by_resource[name] = [{**row, "organization_id": organization_id} for row in by_resource[name]]
        self._locations(by_resource["location"], organization_id)
        created = {**self._created, **self._contacts(by_resource["contact"], organization_id)}
        for name in ("license_asset", "user_asset"):
            self._assets(name, by_resource[name], organization_id, created)

    def _organization(self, own: list[Row], rows: list[Row]) -> str | None:
        """The organization of these changes, created or renamed where that is among them; None: nothing can be done."""
        rest = [row for row in rows if row["resource"] != "organization"]
        creates = [row for row in own if row["action"] == "create"]
        if creates:
            change = Change.of_row(creates[0])
            name = normalise(change.fields["name"].new)
            if any(
                normalise(str(live.attributes.get("name") or "")) == name
                for live in self._sender.records.find("organizations")
            ):
                self._sender.note(rows, "skipped", "an organization of this name is there since the plan was made")
                return None
            live = self._sender.send([Write(creates[0], change, new_record(change, self._sender.lookups, {}))])[0]
            if live is None:
                self._sender.note(rest, "skipped", "the organization was not created")
                return None
            return live.id
        organization_id = next(row["organization_id"] for row in rows)
        live = self._sender.records.get("organizations", organization_id)
        if live is None:
            self._sender.note(rows, "skipped", "the organization is gone from IT Glue")
            return None
        self._update(own, {live.id: live}, {})
        return str(organization_id)

    def _locations(self, rows: list[Row], organization_id: str) -> None:
        if not rows:
            return
        live = {each.id: each for each in self._sender.records.find("locations", organization_id=organization_id)}
        names = {normalise(str(each.attributes.get("name") or "")) for each in live.values()}
        fresh = []
        for row in rows:
            if row["action"] != "create":
                continue
            if normalise(Change.of_row(row).fields["name"].new) in names:
                self._sender.note([row], "skipped", "a location of this name is there since the plan was made")
            else:
                fresh.append(row)
        extra = {"organization-id": organization_id, "primary": not live}
        for write in self._new(fresh, {}):
            write.attributes.update(extra)
            self._sender.send([write])
        self._update([row for row in rows if row["action"] != "create"], live, {})

    def _contacts(self, rows: list[Row], organization_id: str) -> dict[str, str]:
        """Write contacts; user id → contact id of those created."""
        if not rows:
            return {}
        live = {each.id: each for each in self._sender.records.find("contacts", organization_id=organization_id)}
        known = self._known_contacts(organization_id)
        # What was there when the plan was made, the plan has taken into account.
        since = [each.attributes for each in live.values() if each.id not in known]
        taken = {address for attributes in since for address in addresses(attributes)}
        names = {name_in(attributes) for attributes in since}
        created: dict[str, str] = {}
        fresh = []
        for row in rows:
            if row["action"] != "create":
                continue
            change = Change.of_row(row)
            own = addresses_of(change)
            if own & taken:
                self._sender.note(
                    [row], "skipped", "a contact with one of the user's addresses is there since the plan was made"
                )
            elif name_of(change) in names:
                self._sender.note([row], "skipped", "a contact of this name is there since the plan was made")
            else:
                taken |= own
                fresh.append(row)
        for writes in _portions(list(self._new(fresh, {}))):
            for write, done in zip(writes, self._sender.send(writes, organization_id), strict=True):
                if done is not None and write.change.subject_id:
                    created[write.change.subject_id] = done.id
        self._update([row for row in rows if row["action"] != "create"], live, {})
        return created

    def _assets(self, resource: str, rows: list[Row], organization_id: str, created: Mapping[str, str]) -> None:
        if not rows or self._sender.stop.is_set():
            return
        try:
            type_id = self._sender.asset_type(resource)
        except Unresolved as error:
            self._sender.note(rows, "skipped", str(error))
            return
        live = {
            each.id: each
            for each in self._sender.records.find(
                "flexible_assets", flexible_asset_type_id=type_id, organization_id=organization_id
            )
        }
        there = {asset_key(each.attributes.get("traits") or {}) for each in live.values()}
        fresh = []
        for row in rows:
            if row["action"] != "create":
                continue
            change = Change.of_row(row)
            if asset_key({name: each.new for name, each in change.fields.items()}) in there:
                self._sender.note([row], "skipped", "it is documented since the plan was made")
            elif resource == "user_asset" and not has_contact(change, created):
                self._sender.note([row], "skipped", "the user's contact was not created")
            else:
                fresh.append(row)
        for writes in _portions(list(self._new(fresh, created))):
            self._sender.send(writes, organization_id)
        self._update([row for row in rows if row["action"] != "create"], live, created)

    def _new(self, rows: Iterable[Row], created: Mapping[str, str]) -> Iterator[Write]:
        for row in rows:
            change = Change.of_row(row)
            try:
                yield Write(row, change, new_record(change, self._sender.lookups, created))
            except Unresolved as error:
                self._sender.note([row], "failed", str(error))

    def _update(self, rows: Iterable[Row], live: Mapping[str, Live], created: Mapping[str, str]) -> None:
        writes = []
        for row in rows:
            change = Change.of_row(row)
            record = live.get(change.target_id or "")
            if record is None:
                self._sender.note([row], "skipped", "it is gone from IT Glue since the plan was made")
            elif (owned := owned_by(record.owner)) is not None:
                self._sender.note([row], "skipped", owned)
            else:
                try:
                    attributes = changed_record(change, record.attributes, self._sender.lookups, created)
                except (Edited, Unresolved) as error:
                    self._sender.note([row], "skipped", str(error))
                    continue
                if attributes is None:
                    self._sender.note([row], "skipped", "IT Glue says so already")
                else:
                    writes.append(Write(row, change, attributes))
        for portion in _portions(writes):
            self._sender.send(portion)


def _portions(writes: Sequence[Write]) -> Iterator[list[Write]]:
    for start in range(0, len(writes), BULK):
        yield list(writes[start : start + BULK])


def _still_waiting(waiting: set[Future[None]], timeout: float | None = None) -> set[Future[None]]:
    """Those that are not done after a while. Raises what a tenant ended with: it must not be lost in a thread."""
    done, left = wait(waiting, timeout=timeout, return_when=FIRST_COMPLETED)
    for each in done:
        each.result()
    return left
