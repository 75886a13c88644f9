"""The list of products that Microsoft publishes, fetched again once a day, before the tables that show its names."""

import dagster as dg

from assets.failures import reported
from assets.resources import Installation
from assets.specs import OWNERS
from o365_etl.pipeline.catalogue import refresh

PRODUCT_LIST = dg.AssetKey(["catalogue", "product_list"])


@dg.multi_asset(
    name="catalogue",
    specs=[
        dg.AssetSpec(
            PRODUCT_LIST,
            description="Microsoft's published list of products. Whatever is wrong with it, the last good copy holds.",
            group_name="m365",
            kinds={"python", "csv"},
            owners=OWNERS,
        )
    ],
)
def catalogue(context: dg.AssetExecutionContext, installation: Installation) -> dg.MaterializeResult:
    """Fetch the list if a day has passed since the last attempt; never fails a sync."""
    with reported():
        done = refresh(installation.workspace, context.run.run_id)
    metadata: dict[str, dg.MetadataValue | int | str] = {"dagster/row_count": done.products, "outcome": done.outcome}
    if done.fetched_at is not None:
        metadata["fetched at"] = dg.TimestampMetadataValue(done.fetched_at.timestamp())
    if done.problem is not None:
        metadata["problem"] = done.problem
        if done.outcome == "kept":
            context.log.warning(f"names of products: {done.problem}")
    return dg.MaterializeResult(metadata=metadata)
