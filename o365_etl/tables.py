"""The contract of every table: name, columns, types, key, description.

Declared once here and used for the DDL of the warehouse and of the published copy, the Arrow schemas of the
transforms, the blocking checks, Dagster's column metadata and `docs/tables.md`. Names and columns are public: other
people's SQL depends on them, so the contract may only grow.

What does not live here: how a table is filled (`transform`, `matching`, `store/sql`) and where it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

SqlType = Literal["VARCHAR", "BOOLEAN", "INTEGER", "BIGINT", "DOUBLE", "DATE", "TIMESTAMPTZ"]

_ARROW: Mapping[SqlType, pa.DataType] = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "DOUBLE": pa.float64(),
    "DATE": pa.date32(),
    "TIMESTAMPTZ": pa.timestamp("us", tz="UTC"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `values` lists the words a column may hold, where it holds words of ours."""

    name: str
    type: SqlType
    description: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `key` identifies a row; key columns are never NULL."""

    schema: str
    name: str
    key: tuple[str, ...]
    description: str
    columns: tuple[Column, ...]
    personal: bool = False

    @property
    def full_name(self) -> str:
        """`schema.table`, as written in SQL."""
        return f"{self.schema}.{self.name}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns in order."""
        return tuple(column.name for column in self.columns)

    def ddl(self, name: str | None = None) -> str:
        """The CREATE TABLE statement. Keys are checked after a load, not by the engine: a delete and an insert of
        the same key in one transaction would fail against a DuckDB index.
        """
        columns = ", ".join(
            f'"{column.name}" {column.type}{" NOT NULL" if column.name in self.key else ""}' for column in self.columns
        )
        return f"CREATE TABLE IF NOT EXISTS {name or self.full_name} ({columns})"

    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema of a frame that fills this table."""
        return pa.schema([pa.field(column.name, _ARROW[column.type]) for column in self.columns])


def _text(name: str, description: str, *values: str) -> Column:
    return Column(name, "VARCHAR", description, values)


def _flag(name: str, description: str) -> Column:
    return Column(name, "BOOLEAN", description)


def _count(name: str, description: str) -> Column:
    return Column(name, "BIGINT", description)


def _time(name: str, description: str) -> Column:
    return Column(name, "TIMESTAMPTZ", description)


TENANT_ID = _text("tenant_id", "Microsoft's tenant id (GUID), taken from the answer and checked against the token.")
USER_ID = _text("user_id", "Microsoft's object id of the user; stays the same through renames.")
UPN = _text("user_principal_name", "The user's sign-in name.")
SKU_ID = _text("sku_id", "Microsoft's product id (GUID, lower case).")
ORGANIZATION_ID = _text("organization_id", "IT Glue's id of the organization.")
CONTACT_ID = _text("contact_id", "IT Glue's id of the contact.")
MATCH_RULES = ("decision", "link", "tenant_name", "contact_email", "domain")
CONTACT_RULES = ("decision", "link", "alias", "username", "full_name")
COMPARE_STATES = ("equal", "different", "only_m365", "only_itglue", "unknown")
SCOPE_REASONS = ("guest", "disabled", "resource", "shared_mailbox", "unlicensed")
CHANGE_RESOURCES = (
    "organization",
    "location",
    "contact",
    "flexible_asset_type",
    "license_asset",
    "user_asset",
)
# Stands in the reason of a change that a brake holds, before why; also after a person approved it.
BRAKE_MARK = "; waits for approval: "
CHANGE_STATES = ("planned", "approved", "applied", "skipped", "failed", "blocked")
UNKNOWN_REASONS = ("concealed", "forbidden", "not_in_cloud", "not_in_report", "unsupported")


_COMPARED = (
    _text("m365_value", "What Microsoft 365 says, as text; NULL if empty."),
    _text("itglue_value", "What IT Glue says, as text; NULL if empty."),
    _text("state", "How the two sides compare on normalised values.", *COMPARE_STATES),
)

_USERS = Table(
    "m365",
    "users",
    ("tenant_id", "user_id"),
    "Every user of every tenant read, also those out of scope (with the reason).",
    (
        TENANT_ID,
        USER_ID,
        UPN,
        _text("display_name", "Display name."),
        _text("given_name", "First name."),
        _text("surname", "Last name."),
        _text("mail", "Primary e-mail address as Microsoft gives it."),
        _text("job_title", "Job title."),
        _text("department", "Department."),
        _text("company_name", "Company name."),
        _text("office_location", "Office."),
        _text("business_phone", "The first business phone."),
        _text("mobile_phone", "Mobile phone."),
        _text("usage_location", "Country code for licensing."),
        _text("user_type", "Microsoft's userType: Member or Guest."),
        _flag("account_enabled", "Sign-in allowed; NULL if not told."),
        _flag("is_guest", "Guest by userType, or external by the #EXT# mark in the user name."),
        _flag("is_licensed", "Holds at least one license of any kind."),
        _flag("is_synced_from_ad", "Mastered in an on-premises directory."),
        _time("created_at", "When the account was created."),
        _time("last_sign_in_at", "Last interactive sign-in; NULL if never or not readable (no Entra ID P1)."),
        _flag("in_scope", "Becomes a contact under the selection in force."),
        _text("out_of_scope_reason", "Why not, if not.", *SCOPE_REASONS),
        _text("manage_url", "Opens the user in the tenant's Entra admin center."),
        _text("name_key", "Normalised first + last name, as rule full_name compares it; NULL unless both exist."),
    ),
    personal=True,
)

_LICENSE_ASSIGNMENTS = Table(
    "m365",
    "license_assignments",
    ("tenant_id", "user_id", "sku_id", "assigned_by"),
    "Who holds which license, and through what. One product can be assigned twice: directly and by a group.",
    (
        TENANT_ID,
        USER_ID,
        SKU_ID,
        _text("assigned_by", "`direct`, or the id of the assigning group."),
        _text("product_name", "The product's name; the part number or the id if it is not known."),
        _text("state", "Microsoft's state: Active, ActiveWithError, Disabled, Error …"),
        _text("error", "Microsoft's error of the assignment; NULL if none."),
    ),
    personal=True,
)

_MATCH_ORGANIZATIONS = Table(
    "match",
    "organizations",
    ("tenant_id",),
    "Each tenant's organization, by which rule, on what evidence, decided by whom.",
    (
        TENANT_ID,
        _text("tenant_name", "The tenant's name (its alias where one is configured)."),
        _text("status", "Where the match stands.", "matched", "suggested", "unmatched", "ignored"),
        _text("organization_id", "The matched organization; NULL unless matched."),
        _text("organization_name", "Its name."),
        _text("rule", "The rule that decided.", *MATCH_RULES),
        _text("evidence", "What the rule saw (JSON object)."),
        _text("decided_by", "Who decided, for rule `decision`."),
        _time("decided_at", "When."),
    ),
)

_MATCH_CONTACTS = Table(
    "match",
    "contacts",
    ("tenant_id", "user_id"),
    "Each user's contact: matched, to be created, ambiguous (a person decides), or why not.",
    (
        TENANT_ID,
        USER_ID,
        UPN,
        _text("organization_id", "The tenant's organization; NULL if unmatched."),
        _text("contact_id", "The matched contact; NULL unless known."),
        _text(
            "status",
            "Where the match stands.",
            "matched",
            "create",
            "ambiguous",
            "ignored",
            "out_of_scope",
            "organization_unmatched",
        ),
        _text("rule", "The rule that decided, or that found the rivals.", *CONTACT_RULES),
        _text("candidates", "The contacts in question (JSON list of contact ids); NULL if none."),
        _text("evidence", "What the rule saw (JSON object)."),
    ),
    personal=True,
)


def _history(table: Table, name: str) -> Table:
    return Table(
        "history",
        name,
        (*table.key, "valid_from"),
        f"Every version of each row of `{table.full_name}` (slowly changing dimension, type 2).",
        (
            *table.columns,
            _time("valid_from", "The sync that first saw this version."),
            _time("valid_to", "The sync that saw another version, or a complete read without it; NULL: in force."),
        ),
        personal=table.personal,
    )


_ALL = (
    Table(
        "m365",
        "tenants",
        ("tenant_id",),
        "Every tenant that was ever read, with its address and the age of its rows.",
        (
            TENANT_ID,
            _text("display_name", "The tenant's name (its alias where one is configured)."),
            _text("default_domain", "The default domain."),
            _text("initial_domain", "The *.onmicrosoft.com domain."),
            _text("connection", "The connection that reads it."),
            _text("kind", "How it is reached.", "partner", "direct"),
            _time("access_ends_at", "When the last GDAP relationship ends; NULL if none is known."),
            _text("manage_url", "Opens the tenant in the Entra admin center."),
            _time("as_of", "When its rows were last read completely."),
            _flag("is_stale", "True if the last sync could not read it completely: the rows are older."),
            _text("microsoft_name", "Microsoft's own display name."),
            _text("name_key", "Normalised name, as rule tenant_name compares it."),
            _text("street", "Street address."),
            _text("city", "City."),
            _text("state", "State or province."),
            _text("postal_code", "Postal code."),
            _text("country", "Country name."),
            _text("country_code", "Two-letter country code."),
            _text("phone", "The first business phone."),
        ),
    ),
    Table(
        "m365",
        "domains",
        ("tenant_id", "domain"),
        "The tenants' domains.",
        (
            TENANT_ID,
            _text("domain", "Domain name, lower case."),
            _flag("is_default", "The tenant's default domain."),
            _flag("is_initial", "The tenant's *.onmicrosoft.com domain."),
            _flag("is_verified", "Ownership is proven; only such a domain is evidence for a match."),
        ),
    ),
    _USERS,
    Table(
        "m365",
        "user_addresses",
        ("tenant_id", "user_id", "address"),
        "Every e-mail address of every user, once, under its strongest kind.",
        (
            TENANT_ID,
            USER_ID,
            _text("address", "The address, normalised (NFKC, case folded, trimmed)."),
            _text(
                "kind",
                "primary: main SMTP or mail; alias: other SMTP; upn; other: otherMails.",
                "primary",
                "alias",
                "upn",
                "other",
            ),
        ),
        personal=True,
    ),
    Table(
        "m365",
        "mailboxes",
        ("tenant_id", "user_principal_name"),
        "Mailboxes from Microsoft's usage report, or one row per user with an Exchange plan where it tells nothing.",
        (
            TENANT_ID,
            _text("user_principal_name", "Sign-in name, lower case, as the report names the mailbox."),
            _text("user_id", "The user; NULL if the mailbox belongs to nobody in the directory any more."),
            _text("display_name", "Display name."),
            _text("mailbox_type", "user, shared, room, equipment, linked or others; NULL if not known."),
            _text(
                "mailbox_type_source", "How the type is known.", "report", "mailbox_settings", "last_known", "heuristic"
            ),
            _count("storage_used_bytes", "Bytes used; NULL if not known."),
            _count("prohibit_send_quota_bytes", "Quota in bytes at which sending stops; NULL if not known."),
            _count("item_count", "Items; NULL if not known."),
            Column("last_activity_date", "DATE", "Last activity; NULL if none or not known."),
            _flag("has_archive", "Has an archive mailbox; NULL if the report does not say."),
            _flag("is_deleted", "Deleted, but still in the report."),
            Column("report_refresh_date", "DATE", "The day the figures are of (24 to 48 hours old)."),
            _text("unknown_reason", "Why the figures are NULL.", *UNKNOWN_REASONS),
        ),
        personal=True,
    ),
    Table(
        "m365",
        "licenses",
        ("tenant_id", "sku_id"),
        "The products each tenant holds, with how many are in use.",
        (
            TENANT_ID,
            SKU_ID,
            _text("sku_part_number", "Microsoft's part number; may mislead, read product_name."),
            _text("product_name", "The product's name; the part number or the id if it is not known."),
            _text("status", "Microsoft's capabilityStatus: Enabled, Warning, Suspended, Deleted, LockedOut."),
            _count("active", "Licenses that can be assigned (prepaidUnits.enabled)."),
            _count("consumed", "Licenses assigned."),
            _count("unused", "active − consumed; may be negative."),
            _count("suspended", "Suspended licenses."),
            _count("warning", "Licenses in their grace period."),
            _time("renews_at", "Next renewal or expiry; NULL if not known."),
            _flag("is_known_sku", "The catalogue knows a name for it."),
            _flag("is_recommended", "For users, and neither free, viral nor trial: part of the default selection."),
        ),
    ),
    _LICENSE_ASSIGNMENTS,
    Table(
        "m365",
        "products",
        ("sku_id",),
        "What Microsoft's products are called, and where the name comes from.",
        (
            SKU_ID,
            _text("product_name", "The product's name."),
            _text("sku_part_number", "Microsoft's part number; NULL if not known."),
            _text("kind", "What it costs; NULL if not known.", "paid", "free", "viral", "trial"),
            _text(
                "source",
                "shipped: the program's own table; microsoft: the published list; configuration: `catalogue.names`.",
                "shipped",
                "microsoft",
                "configuration",
            ),
            _time("fetched_at", "When the published list was downloaded, for names out of it."),
        ),
    ),
    Table(
        "m365",
        "unknown_skus",
        ("sku_id",),
        "Products that tenants or users hold and that have no name in `m365.products`: they show their part number.",
        (
            SKU_ID,
            _text("sku_part_number", "Microsoft's part number; NULL if no tenant tells it."),
            _count("tenants", "Tenants where it was seen."),
            _count("users", "Users it is assigned to."),
            _count("consumed", "Licenses assigned by the tenants' own count; NULL if not told."),
            _time("first_seen_at", "The sync that first saw it."),
        ),
    ),
    Table(
        "itglue",
        "organizations",
        ("organization_id",),
        "All organizations in IT Glue.",
        (
            ORGANIZATION_ID,
            _text("name", "Name."),
            _text("short_name", "Short name."),
            _text("organization_type", "Type."),
            _text("organization_status", "Status."),
            _flag("is_primary", "The account's own organization."),
            _text("sync_owner", "The integration that owns it (an adapter whose sync is true); NULL if none."),
            _time("updated_at", "Last change in IT Glue."),
            _text("name_key", "Normalised name."),
            _text("short_name_key", "Normalised short name."),
            _text("resource_url", "Opens it in IT Glue."),
        ),
    ),
    Table(
        "itglue",
        "contacts",
        ("contact_id",),
        "All contacts in IT Glue.",
        (
            CONTACT_ID,
            ORGANIZATION_ID,
            _text("first_name", "First name."),
            _text("last_name", "Last name."),
            _text("title", "Title."),
            _text("contact_type", "Type."),
            _text("notes", "Notes."),
            _text("sync_owner", "The integration that owns it (an adapter whose sync is true); NULL if none."),
            _time("updated_at", "Last change in IT Glue."),
            _text("name_key", "Normalised first + last name; NULL unless both exist."),
            _text("resource_url", "Opens it in IT Glue."),
        ),
        personal=True,
    ),
    Table(
        "itglue",
        "contact_emails",
        ("contact_id", "address"),
        "The contacts' e-mail addresses.",
        (
            CONTACT_ID,
            _text("address", "The address, normalised (NFKC, case folded, trimmed)."),
            ORGANIZATION_ID,
            _flag("is_primary", "The contact's primary address."),
            _text("label", "Label in IT Glue."),
        ),
        personal=True,
    ),
    Table(
        "itglue",
        "contact_phones",
        ("contact_id", "number"),
        "The contacts' phone numbers.",
        (
            CONTACT_ID,
            _text("number", "The number as IT Glue holds it."),
            _text("extension", "Extension."),
            _flag("is_primary", "The contact's primary number."),
            _text("label", "Label in IT Glue: Work, Home, Cell …"),
        ),
        personal=True,
    ),
    Table(
        "itglue",
        "locations",
        ("location_id",),
        "The organizations' locations.",
        (
            _text("location_id", "IT Glue's id of the location."),
            ORGANIZATION_ID,
            _text("name", "Name."),
            _flag("is_primary", "The organization's primary location."),
            _text("address_1", "Street address."),
            _text("city", "City."),
            _text("region", "State or province."),
            _text("postal_code", "Postal code."),
            _text("country", "Country."),
            _text("phone", "Phone."),
            _time("updated_at", "Last change in IT Glue."),
        ),
    ),
    Table(
        "itglue",
        "license_assets",
        ("asset_id",),
        "The license assets this program keeps in IT Glue, one per tenant and product.",
        (
            _text("asset_id", "IT Glue's id of the flexible asset."),
            ORGANIZATION_ID,
            TENANT_ID,
            SKU_ID,
            _text("product_name", "Product name as documented."),
            _text("status", "Status as documented."),
            _count("active", "Active as documented."),
            _count("consumed", "Consumed as documented."),
            _count("unused", "Unused as documented."),
            _text("renewal_date", "Renewal date as documented (yyyy-mm-dd)."),
            _text("contact_ids", "Tagged contacts (JSON list of contact ids, ascending)."),
            _time("updated_at", "Last change in IT Glue."),
        ),
    ),
    Table(
        "itglue",
        "user_assets",
        ("asset_id",),
        "The Microsoft 365 overlay this program keeps in IT Glue, one asset per matched contact.",
        (
            _text("asset_id", "IT Glue's id of the flexible asset."),
            ORGANIZATION_ID,
            TENANT_ID,
            USER_ID,
            _text("contact_ids", "Tagged contacts (JSON list of contact ids, ascending)."),
            _text("traits", "Its other traits (JSON object)."),
            _time("updated_at", "Last change in IT Glue."),
        ),
        personal=True,
    ),
    Table(
        "itglue",
        "asset_types",
        ("asset_type_id",),
        "The flexible asset types of the account.",
        (_text("asset_type_id", "IT Glue's id of the type."), _text("name", "Name.")),
    ),
    Table(
        "itglue",
        "contact_types",
        ("contact_type_id",),
        "The contact types of the account.",
        (_text("contact_type_id", "IT Glue's id of the type."), _text("name", "Name.")),
    ),
    Table(
        "itglue",
        "countries",
        ("country_id",),
        "IT Glue's countries.",
        (
            _text("country_id", "IT Glue's id of the country."),
            _text("name", "Name."),
            _text("iso", "Two-letter code, upper case."),
        ),
    ),
    Table(
        "itglue",
        "regions",
        ("region_id",),
        "IT Glue's regions: states and provinces.",
        (
            _text("region_id", "IT Glue's id of the region."),
            _text("country_id", "Its country."),
            _text("name", "Name."),
            _text("iso", "Code of the region, upper case."),
        ),
    ),
    _MATCH_ORGANIZATIONS,
    Table(
        "match",
        "organization_suggestions",
        ("tenant_id", "rank"),
        "Up to five organizations for each tenant that no rule could match, best first.",
        (
            TENANT_ID,
            Column("rank", "INTEGER", "1 is the best."),
            ORGANIZATION_ID,
            _text("organization_name", "Its name."),
            Column("score", "DOUBLE", "0 to 100: name similarity, lifted by shared domains and addresses."),
            _text("evidence", "Name score, shared addresses, shared domains (JSON object)."),
        ),
    ),
    _MATCH_CONTACTS,
    Table(
        "compare",
        "organizations",
        ("tenant_id", "field"),
        "Matched tenants against their organization and its location, field by field.",
        (
            TENANT_ID,
            _text("field", "Field.", "name", "address_1", "city", "region", "postal_code", "country", "phone"),
            ORGANIZATION_ID,
            *_COMPARED,
        ),
    ),
    Table(
        "compare",
        "contacts",
        ("tenant_id", "user_id", "field"),
        "Matched users against their contact, field by field.",
        (
            TENANT_ID,
            USER_ID,
            _text(
                "field",
                "Field.",
                "first_name",
                "last_name",
                "title",
                "primary_email",
                "email_addresses",
                "phone",
                "mobile_phone",
            ),
            UPN,
            ORGANIZATION_ID,
            CONTACT_ID,
            *_COMPARED,
        ),
        personal=True,
    ),
    Table(
        "compare",
        "licenses",
        ("tenant_id", "sku_id", "field"),
        "The licenses of matched tenants against what IT Glue documents, field by field.",
        (
            TENANT_ID,
            SKU_ID,
            _text("field", "Field.", "product_name", "status", "active", "consumed", "unused"),
            ORGANIZATION_ID,
            *_COMPARED,
        ),
    ),
    Table(
        "sync",
        "tenants",
        ("tenant_id",),
        "Every tenant that a connection names: read or not, why not, what to do, and how old its rows are.",
        (
            _text("tenant_id", "Microsoft's tenant id; the configured domain while a direct tenant was never read."),
            _text("display_name", "The tenant's name, or the partner's copy of it while it was never read."),
            _text(
                "status",
                "ok; partial: something was not read; failed; not_consented: no admin consent yet; quarantined; "
                "excluded by the configuration.",
                "ok",
                "partial",
                "failed",
                "not_consented",
                "quarantined",
                "excluded",
            ),
            _text("error_code", "The first problem, as a word for programs."),
            _text("remedy", "What to do about it."),
            _time("last_ok_at", "The last sync in which it was read completely."),
            _time("as_of", "When the rows in force were read."),
            _text("streams", "Each stream's state, reason, rows, requests and remedy (JSON object)."),
            _text("connection", "The connection that names it."),
            _text("listed_in", "Where a partner connection found it: contracts, gdap (JSON list)."),
            _time("failing_since", "Since when it fails for a reason that only a person can mend."),
            _time("next_try_at", "Syncs that nobody asked for leave it alone until then."),
            _text("missing_permissions", "Application permissions a stream needs and the token lacks (JSON list)."),
            _text("excess_permissions", "Application permissions granted beyond what is needed (JSON list)."),
        ),
    ),
    Table(
        "sync",
        "changes",
        ("change_id",),
        "The plan: what would be written to IT Glue, and what became of it; a finished change stays for a while.",
        (
            _text("change_id", "Hash of the change's content: the same change has the same id in every plan."),
            _text("run_id", "The sync that planned it."),
            TENANT_ID,
            _text("organization_id", "The organization; NULL while it is still to be created."),
            _text("action", "What would be done.", "create", "update", "deactivate"),
            _text("resource", "To which kind of record.", *CHANGE_RESOURCES),
            _text("target_id", "IT Glue's id of the record; NULL until it is created."),
            _text("fields", "Field by field old and new (JSON object of {old, new})."),
            _text("reason", "Why, or why not."),
            _text(
                "state",
                "blocked: a brake was pulled; skipped: not ours to write, or changed since the plan.",
                *CHANGE_STATES,
            ),
            _text("subject_id", "The user or the SKU that it is about; NULL for an organization or a location."),
            _text("plan_hash", "Hash of the tenant's plan: what an approval names."),
            _text("message", "What IT Glue said to it, if it failed."),
            _time("finished_at", "When it was applied, skipped or failed."),
        ),
        personal=True,
    ),
    Table(
        "sync",
        "runs",
        ("run_id",),
        "Every sync.",
        (
            _text("run_id", "The Dagster run id."),
            _text("trigger", "manual, schedule, queue, demo …"),
            _time("started_at", "Start."),
            _time("ended_at", "End; NULL while it runs."),
            _text("status", "How it stands.", "queued", "syncing", "ok", "failed", "blocked"),
            _count("tenants_ok", "Tenants read."),
            _count("tenants_failed", "Tenants not read, or not completely."),
            _text("counts", "Rows per table, matches per rule, differences (JSON object)."),
        ),
    ),
    Table(
        "sync",
        "log",
        ("entry_id",),
        "What happened, in order.",
        (
            Column("entry_id", "BIGINT", "Ascending number."),
            _text("run_id", "The sync; NULL for what a person did."),
            _time("at", "When."),
            _text("level", "How bad.", "info", "warning", "error"),
            _text("tenant_id", "The tenant, if about one."),
            _text("stream", "The stream, if about one."),
            _text("message", "What happened, and what to do."),
            _text("detail", "More (JSON object)."),
        ),
    ),
    _history(_USERS, "users"),
    _history(_LICENSE_ASSIGNMENTS, "license_assignments"),
    _history(_MATCH_ORGANIZATIONS, "match_organizations"),
    _history(_MATCH_CONTACTS, "match_contacts"),
)

TABLES: Mapping[str, Table] = {table.full_name: table for table in _ALL}
SCHEMAS: tuple[str, ...] = tuple(dict.fromkeys(table.schema for table in _ALL))
HISTORY: Mapping[str, str] = {
    "history.users": "m365.users",
    "history.license_assignments": "m365.license_assignments",
    "history.match_organizations": "match.organizations",
    "history.match_contacts": "match.contacts",
}
