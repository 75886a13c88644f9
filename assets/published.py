"""The copy that analysts open, replaced at once at the end of a sync."""

from collections.abc import Iterator

import dagster as dg

from assets.changes import APPLIED
from assets.failures import reported
from assets.resources import Installation
from assets.specs import OWNERS, counted, key, spec, tables_of
from o365_etl.pipeline import publishing

COPY = dg.AssetKey(["published", "o365"])
INPUTS = [key(table) for table in (*tables_of("compare", "history", "match"), "sync.tenants", "sync.changes")] + [
    APPLIED
]


@dg.multi_asset(
    name="publish",
    specs=[
        spec("sync.runs").replace_attributes(deps=INPUTS),
        spec("sync.log").replace_attributes(deps=INPUTS),
        dg.AssetSpec(
            COPY,
            deps=INPUTS,
            description="`{data_dir}/o365.duckdb`: every public table, readable at any time, also while a sync runs.",
            group_name="published",
            kinds={"duckdb"},
            owners=OWNERS,
        ),
    ],
)
def publish(context: dg.AssetExecutionContext, installation: Installation) -> Iterator[dg.MaterializeResult]:
    """Close the run and replace the published copy."""
    with reported():
        rows = publishing.publish(installation.workspace, context.run.run_id)
    for table in ("sync.runs", "sync.log"):
        yield dg.MaterializeResult(asset_key=key(table), metadata={"dagster/row_count": rows[table]})
    yield dg.MaterializeResult(
        asset_key=COPY,
        metadata={
            "dagster/row_count": sum(rows.values()),
            "rows": counted(rows, "table"),
            "path": dg.MetadataValue.path(installation.workspace.published),
            "bytes": installation.workspace.published.stat().st_size,
        },
    )
