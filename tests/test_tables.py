"""The table contract: complete, well-formed, and shown in the documentation."""

from __future__ import annotations

import duckdb
import pytest

from docs.generate import PAGE, page
from o365_etl.tables import HISTORY, SCHEMAS, TABLES, Table

# The public minimum: other people's SQL depends on these names.
PUBLIC = {
    "m365.tenants": "tenant_id display_name default_domain initial_domain connection kind access_ends_at manage_url"
    " as_of is_stale",
    "m365.domains": "tenant_id domain is_default is_initial is_verified",
    "m365.users": "tenant_id user_id user_principal_name display_name given_name surname mail job_title department"
    " company_name office_location business_phone mobile_phone usage_location user_type account_enabled is_guest"
    " is_licensed is_synced_from_ad created_at last_sign_in_at in_scope out_of_scope_reason manage_url",
    "m365.user_addresses": "tenant_id user_id address kind",
    "m365.mailboxes": "tenant_id user_principal_name user_id display_name mailbox_type mailbox_type_source"
    " storage_used_bytes prohibit_send_quota_bytes item_count last_activity_date has_archive is_deleted"
    " report_refresh_date unknown_reason",
    "m365.licenses": "tenant_id sku_id sku_part_number product_name status active consumed unused suspended warning"
    " renews_at is_known_sku",
    "m365.license_assignments": "tenant_id user_id sku_id assigned_by product_name state error",
    "itglue.organizations": "organization_id name short_name organization_type organization_status is_primary"
    " sync_owner updated_at",
    "itglue.contacts": "contact_id organization_id first_name last_name title contact_type notes sync_owner updated_at",
    "itglue.contact_emails": "contact_id address organization_id is_primary label",
    "itglue.contact_phones": "contact_id number extension is_primary label",
    "match.organizations": "tenant_id tenant_name status organization_id organization_name rule evidence decided_by"
    " decided_at",
    "match.organization_suggestions": "tenant_id rank organization_id organization_name score evidence",
    "match.contacts": "tenant_id user_id user_principal_name organization_id contact_id status rule candidates"
    " evidence",
    "compare.organizations": "tenant_id field organization_id m365_value itglue_value state",
    "compare.contacts": "tenant_id user_id field user_principal_name organization_id contact_id m365_value"
    " itglue_value state",
    "compare.licenses": "tenant_id sku_id field organization_id m365_value itglue_value state",
    "sync.tenants": "tenant_id display_name status error_code remedy last_ok_at as_of streams",
    "sync.runs": "run_id trigger started_at ended_at status tenants_ok tenants_failed counts",
    "sync.log": "entry_id run_id at level tenant_id stream message detail",
}


@pytest.mark.parametrize("name", PUBLIC)
def test_the_public_columns_are_there(name: str) -> None:
    """No public table loses a column."""
    assert set(PUBLIC[name].split()) <= set(TABLES[name].column_names)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_each_contract_is_well_formed(table: Table) -> None:
    """Keys are columns, names are unique, everything is described, and the engine takes the DDL."""
    assert set(table.key) <= set(table.column_names)
    assert len(set(table.column_names)) == len(table.columns)
    assert table.description
    assert all(column.description for column in table.columns)
    with duckdb.connect() as connection:
        for schema in SCHEMAS:
            connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(table.ddl())
        connection.register("incoming", table.arrow_schema().empty_table())
        connection.execute(f"INSERT INTO {table.full_name} BY NAME SELECT * FROM incoming")


def test_each_history_follows_its_table() -> None:
    """A history table has its table's columns and key, and the time of validity."""
    for name, source in HISTORY.items():
        assert TABLES[name].column_names == (*TABLES[source].column_names, "valid_from", "valid_to")
        assert TABLES[name].key == (*TABLES[source].key, "valid_from")


def test_the_documentation_is_up_to_date() -> None:
    """docs/tables.md is what the contract says."""
    assert page() == PAGE.read_text(encoding="utf-8")
