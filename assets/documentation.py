"""IT Glue: all organizations, contacts, locations and license assets, read completely or not at all."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.failures import reported
from assets.resources import CRAWL, Installation
from assets.specs import key, spec, tables_of
from o365_etl.pipeline import documentation as reading

TABLES = tables_of("itglue")


class CrawlConfig(dg.Config):
    """How IT Glue is read."""

    full: bool = Field(default=False, description="Everything, also where a read of what changed would do.")


# After all that is ready when it is: the crawl goes on in the background while Microsoft 365 is read.
@dg.multi_asset(name=CRAWL, specs=[spec(table) for table in TABLES], op_tags={"dagster/priority": "-1"})
def itglue(
    context: dg.AssetExecutionContext, config: CrawlConfig, installation: Installation
) -> Iterator[dg.MaterializeResult]:
    """Crawl IT Glue, unless that has begun already, and load every stream that was read to its end."""
    with reported():
        receipts = reading.read_it_glue(
            installation.workspace, context.run.run_id, full=config.full, begun=installation.crawl
        )
        rows = reading.load_it_glue(installation.workspace, receipts)
    requests = sum(receipt.requests for receipt in receipts)
    for table in TABLES:
        yield dg.MaterializeResult(
            asset_key=key(table), metadata={"dagster/row_count": rows[table], "requests of the crawl": requests}
        )
