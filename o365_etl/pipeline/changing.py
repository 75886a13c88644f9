"""The plan: every difference that is ours to write becomes a change in `sync.changes`, and the brakes look at it.

Nothing is planned for a stale tenant, and nothing at all in mode `off`. What does not live here: the rules (`sync`),
the queries (`store.plan`), and the writing (`applying`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import Any

import msgspec

from o365_etl.itglue import LICENSE_ASSET_TYPE, USER_ASSET_TYPE
from o365_etl.pipeline import progress
from o365_etl.pipeline.documentation import is_known
from o365_etl.pipeline.memory import give_back
from o365_etl.pipeline.relating import HOW_FOUND
from o365_etl.pipeline.workspace import Workspace, now
from o365_etl.slices import slice_of
from o365_etl.store import plan as store
from o365_etl.store.marks import Basis, SliceBasis, unconcluded, unconcluded_slices
from o365_etl.store.warehouse import Db
from o365_etl.sync import assets, contacts, leavers, places
from o365_etl.sync.brakes import Tally, pulled
from o365_etl.sync.changes import SKIPPED, Change
from o365_etl.tables import TABLES

Row = Mapping[str, Any]
# Changes in memory between two writes to the warehouse.
CHANGES_AT_ONCE = 4_000
_ASSET_TYPES = {"license_asset": LICENSE_ASSET_TYPE, "user_asset": USER_ASSET_TYPE}
# What the plan of a tenant rests on.
OF_PLANS = Basis(
    tenant=(
        *("plan_tenants", "m365.tenants", "m365.users", "m365.user_addresses", "m365.mailboxes", "m365.licenses"),
        *("m365.license_assignments", "match.contacts", "compare.organizations", "work.contact_sides"),
        *("work.tenant_locations", "places", "user_decisions"),
    ),
    organization=("itglue.contacts", "itglue.contact_emails", "itglue.license_assets", "itglue.user_assets"),
    account=("itglue.asset_types", "itglue.countries", "itglue.regions"),
    without={"match.contacts": HOW_FOUND},
)
# Of that, what the changes of single users rest on, and those of the tenant's own records.
OF_PEOPLE = SliceBasis(
    users=(
        *("m365.users", "m365.user_addresses", "m365.mailboxes", "m365.license_assignments", "match.contacts"),
        *("work.contact_sides", "taken_addresses", "user_decisions", "itglue.user_assets"),
    ),
    contacts=("itglue.contacts",),
    tenant=("plan_tenants",),
    without={"match.contacts": HOW_FOUND},
)
OF_RECORDS = Basis(
    tenant=(
        *("plan_tenants", "m365.tenants", "m365.users", "m365.user_addresses", "m365.licenses"),
        *("m365.license_assignments", "match.contacts", "compare.organizations", "work.tenant_locations", "places"),
        "user_decisions",
    ),
    organization=("itglue.contact_emails", "itglue.license_assets"),
    account=("itglue.asset_types", "itglue.countries", "itglue.regions"),
    without={
        "match.contacts": HOW_FOUND,
        # Of users they say who there is.
        "m365.users": tuple(set(TABLES["m365.users"].column_names) - {"tenant_id", "user_id", "in_scope"}),
    },
)


@dataclass(frozen=True)
class Planned:
    """What was planned: changes by `action resource state`, and tenant → why its plan waits for a person."""

    counts: Mapping[str, int]
    blocked: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """All changes in the table."""
        return sum(self.counts.values())


def plan_changes(workspace: Workspace, run_id: str) -> Planned:
    """Replace `sync.changes` by what this run would write; finished changes stay beside it."""
    finished = workspace.state.intents.finished_table()
    with workspace.tables() as db:
        store.begin(db)
        blocked: dict[str, str] = {}
        if workspace.settings.itglue.mode != "off":
            tallies, linked = _Planner(workspace, db).run()
            give_back()
            blocked = _seal(workspace, db, run_id, tallies, linked)
        store.finish(db, finished, replace=False)
        done = Planned(store.counts(db), blocked)
    give_back()
    entries: list[dict[str, object]] = [
        {"level": "warning", "tenant_id": tenant_id, "message": f"the plan waits for approval: {reason}"}
        for tenant_id, reason in blocked.items()
    ]
    workspace.state.log_many(run_id, entries)
    return done


def _seal(
    workspace: Workspace, db: Db, run_id: str, tallies: Mapping[str, Tally], linked: Mapping[str, int]
) -> dict[str, str]:
    """Give the plan its hashes, let approvals count, and pull the brakes on the rest; tenant → why it waits."""
    hashes = store.hashes(db)
    approved = {t for t, plan_hash in workspace.state.approvals.open().items() if hashes.get(t) == plan_hash}
    reasons = pulled(tallies, linked, workspace.settings.brakes, (t for t in approved if t is not None))
    blocked = {tenant_id: why for tenant_id, why in reasons.items() if tenant_id not in approved}
    store.seal(db, run_id, hashes, approved, blocked)
    return blocked


class _Planner:
    """One walk through all tenants; changes go to the warehouse in portions, without a state until all are there. What
    was planned for a tenant of which nothing changed since stands.
    """

    def __init__(self, workspace: Workspace, db: Db) -> None:
        self._workspace, self._db = workspace, db
        self._settings = workspace.settings
        self._owners = self._settings.fields.contact.model_dump()
        self._at = now()
        self._types = {name for (name,) in db.rows("SELECT name FROM itglue.asset_types")}
        self._planned = 0

    def run(self) -> tuple[dict[str, Tally], dict[str, int]]:
        """Plan everything; what each tenant's plan would do to its contacts, and how many contacts it has."""
        state, settings, db = self._workspace.state, self._settings, self._db
        tenant_decisions, user_decisions = state.decisions.in_force()
        linked_tenants = state.links.tenant_links()
        with store.planning(
            db,
            licensed_connections=[c.name for c in settings.connections if settings.selection_for(c.name).licenses],
            pending=[
                d.tenant_id
                for d in tenant_decisions
                if d.action == "create" and d.organization_id is None and d.tenant_id not in linked_tenants
            ],
            user_decisions=user_decisions,
            places={tenant_id: target for (tenant_id, _), target in state.links.places("location").items()},
            owners=self._owners,
            links=state.links.user_links(),
        ):
            tallies: dict[str, Tally] = defaultdict(Tally)

            def count(change: Change) -> None:
                if change.tenant_id is not None:
                    tallies[change.tenant_id].add(change)

            self._add(chain(self._organizations(), self._leavers()), count)
            with db.in_little_memory():
                self._plan_tenants()
            for tenant_id, text in store.tallies(db):
                tallies[tenant_id].join(Tally.of_json(text))
            needed = {_ASSET_TYPES[resource] for resource in store.resources(db) & _ASSET_TYPES.keys()}
            self._add(assets.create_type(name) for name in sorted(needed - self._types))
            return tallies, store.linked_contacts(db)

    def _plan_tenants(self) -> None:
        """What is planned tenant by tenant and user by user, where it is not what was planned before."""
        db, documented = self._db, self._settings.documentation
        known = {name: self._knows(name) for name in ("locations", "asset_types", "license_assets", "user_assets")}
        # Numbers that move by themselves become due as time passes: once a day is often enough to look.
        also = f"{self._owners} {self._settings.fields.organization} {documented} {known} {self._at:%Y-%m-%d}"
        tenants = [tenant["tenant_id"] for tenant in store.planned_tenants(db)]
        with unconcluded(db, "plan", tenants, OF_PLANS, also) as due:
            if not due:
                return
            with unconcluded_slices(db, "plan_people", due, OF_PEOPLE, f"{also} {sorted(self._types)}") as slices:
                self._plan_people(due, slices)
            with unconcluded(db, "plan_records", due, OF_RECORDS, also) as left:
                for _ in store.portions(db, left):
                    give_back()
                    store.find_new_contacts(db)
                    self._add(chain(self._locations(), self._license_assets()), stands=True)
                store.keep_records(db)

    def _plan_people(self, tenants: Sequence[str], slices: str) -> None:
        tallies: dict[tuple[str, int], Tally] = defaultdict(Tally)

        def count(change: Change) -> None:
            if change.tenant_id and change.subject_id and change.resource == "contact":
                tallies[change.tenant_id, slice_of(change.subject_id)].add(change)

        for _ in store.portions(self._db, tenants, slices):
            give_back()
            self._add(chain(self._contacts(), self._user_assets()), count, stands=True)
        store.keep_people(self._db, slices, {key: tally.to_json() for key, tally in tallies.items()})

    def _add(
        self, changes: Iterable[Change], count: Callable[[Change], None] | None = None, *, stands: bool = False
    ) -> None:
        """Have changes collected, portion by portion; `count` sees each, for what the brakes count of it."""
        for portion in _portions(changes):
            if count is not None:
                for change in portion:
                    count(change)
            store.append(self._db, [_row(change) for change in portion], stands=stands)
            self._planned += len(portion)
            progress.tell("changes planned", self._planned)

    def _organizations(self) -> Iterator[Change]:
        owner = self._settings.fields.organization.name
        for tenant in store.planned_tenants(self._db):
            if tenant["organization_id"] is None:
                yield places.create_organization(tenant)
            elif (change := places.rename_organization(tenant, owner)) is not None:
                yield change

    def _contacts(self) -> Iterator[Change]:
        for user in store.new_contacts(self._db):
            yield contacts.create_contact(user, user["organization_id"])
        for side in store.contact_updates(self._db):
            if (change := contacts.update_contact(side, self._owners)) is not None:
                yield change

    def _leavers(self) -> Iterator[Change]:
        policy, memory = self._settings.leavers, self._workspace.state.leavers
        rows = store.left_users(self._db, leavers.MARK)
        gone = [row for row in rows if row["state"] is not None]
        memory.note([(row["tenant_id"], row["user_id"], row["state"]) for row in gone], self._at)
        since = {(row["tenant_id"], row["user_id"]): row["since"] for row in memory.table().to_pylist()}
        planned = {tenant["tenant_id"] for tenant in store.planned_tenants(self._db)}
        still = {(row["tenant_id"], row["user_id"]) for row in gone}
        # Of a tenant that was not read nobody knows who is back.
        memory.forget([key for key in since if key[0] in planned and key not in still])
        contact_type = policy.contact_type if policy.mark == "contact_type" else None
        for row in rows:
            change = (
                leavers.reactivate(row)
                if row["state"] is None
                else leavers.deactivate(
                    {**row, "since": since[row["tenant_id"], row["user_id"]]}, self._at, policy.grace_days, contact_type
                )
            )
            if change is not None:
                yield change

    def _locations(self) -> Iterator[Change]:
        if not self._settings.documentation.locations or not self._knows("locations"):
            return
        countries, regions = _countries(self._db), _regions(self._db)
        for row in store.location_rows(self._db):
            sides = {side["field"]: (side["m"], side["i"], side["state"]) for side in row["sides"]}
            sides = places.in_words_of_it_glue(sides, countries, regions)
            change = places.document_location(row, sides, self._settings.fields.organization.location)
            if change is not None:
                yield change

    def _license_assets(self) -> Iterator[Change]:
        if self._has_type(LICENSE_ASSET_TYPE, "license_assets"):
            for row in store.license_rows(self._db):
                change = assets.license_asset(_license_sides(row))
                if change is not None:
                    yield change

    def _user_assets(self) -> Iterator[Change]:
        if self._settings.documentation.users and self._has_type(USER_ASSET_TYPE, "user_assets"):
            for row in store.user_asset_rows(self._db):
                change = assets.user_asset(_user_sides(row), is_restless_due=self._is_due(row["updated_at"]))
                if change is not None:
                    yield change

    def _is_due(self, updated_at: datetime | None) -> bool:
        return updated_at is None or self._at - updated_at >= timedelta(days=assets.RESTLESS_DAYS)

    def _knows(self, stream: str) -> bool:
        return is_known(self._workspace.landing.receipt("itglue", stream))

    def _has_type(self, name: str, stream: str) -> bool:
        """True if it is known whether the account has this type, and what it holds."""
        return self._knows("asset_types") and (name not in self._types or self._knows(stream))


def _row(change: Change) -> dict[str, str | None]:
    return {
        "change_id": change.change_id,
        "tenant_id": change.tenant_id,
        "organization_id": change.organization_id,
        "action": change.action,
        "resource": change.resource,
        "target_id": change.target_id,
        "fields": change.fields_json,
        "reason": change.skipped_because or change.reason,
        "state": SKIPPED if change.skipped_because else None,
        "subject_id": change.subject_id,
    }


def _portions(changes: Iterable[Change]) -> Iterator[list[Change]]:
    iterator = iter(changes)
    while portion := list(islice(iterator, CHANGES_AT_ONCE)):
        yield portion


def _license_sides(row: Row) -> dict[str, Any]:
    names = ("product_name", "status", "active", "consumed", "unused", "renewal_date")
    wanted: dict[str, Any] = {name.replace("_", "-"): row[name] for name in names if row[name] is not None}
    if not row["is_held"]:
        wanted = {"status": "No longer subscribed", "active": 0, "consumed": 0, "unused": 0}
    return {
        **row,
        "wanted": wanted,
        "found": {name.replace("_", "-"): row[f"found_{name}"] for name in names},
        "tags_found": msgspec.json.decode(row["tags_found"]),
    }


def _user_sides(row: Row) -> dict[str, Any]:
    return {
        **row,
        "wanted": msgspec.json.decode(row["wanted"]),
        "found": msgspec.json.decode(row["found"]),
        "tags_wanted": [row["tag"]],
        "tags_found": msgspec.json.decode(row["tags_found"]),
    }


def _countries(db: Db) -> list[tuple[str, str | None, str | None]]:
    """IT Glue's countries: id, name, two-letter code."""
    return [tuple(row) for row in db.rows("SELECT country_id, name, iso FROM itglue.countries")]


def _regions(db: Db) -> list[tuple[str | None, str | None, str | None]]:
    """IT Glue's regions: country, name, code."""
    return [tuple(row) for row in db.rows("SELECT country_id, name, iso FROM itglue.regions")]
