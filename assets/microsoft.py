"""Microsoft 365: tenants fan out inside the run as shards, and one op at the end certifies and loads.

Extraction is not partitioned by tenant: a partition event costs 8 to 18 ms, a thousand tenants times eight tables would
spend minutes on bookkeeping. Which tenant failed, since when and why is in `sync.tenants` and its check; to read
just some, give the run configuration `ops: {microsoft: {config: {tenants: [...]}}}` or `{only_failed: true}`.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import dagster as dg
import msgspec
from pydantic import Field

from assets.catalogue import PRODUCT_LIST
from assets.failures import reported
from assets.resources import Installation
from assets.specs import counted, out, tables_of
from o365_etl.graph.model import TenantResult
from o365_etl.pipeline import microsoft as reading
from o365_etl.pipeline import planning

TABLES = (*tables_of("m365"), "sync.tenants")


class SyncConfig(dg.Config):
    """Which tenants to read: all by default. A sync that nobody asked for respects the pauses of failing tenants."""

    tenants: list[str] = Field(default_factory=list)
    only_failed: bool = False
    respect_pauses: bool = Field(default=False, description="Leave alone who is quarantined; the schedule sets it.")
    full: bool = Field(default=False, description="Everything, also where a read of what changed would do.")
    at: str = Field(default="", description="The time that pauses are measured at (ISO 8601); empty: now.")


@dg.op(ins={"products": dg.In(dg.Nothing)}, out={"shards": dg.DynamicOut(), "plan": dg.Out()})
def plan_shards(context: dg.OpExecutionContext, config: SyncConfig, installation: Installation) -> Iterator[Any]:
    """Ask every connection for its tenants and cut them into shards; meanwhile IT Glue is crawled already."""
    installation.begin_crawl(context)
    with reported():
        plan = planning.plan_shards(
            installation.workspace,
            config.tenants,
            only_failed=config.only_failed,
            respect_pauses=config.respect_pauses,
            full=config.full,
            at=datetime.fromisoformat(config.at) if config.at else None,
        )
    for shard in plan.shards:
        yield dg.DynamicOutput(msgspec.to_builtins(shard), mapping_key=str(shard.number), output_name="shards")
    yield dg.Output(msgspec.to_builtins(plan), output_name="plan")


@dg.op
def read_shard(context: dg.OpExecutionContext, installation: Installation, shard: Any) -> Any:
    """Read the tenants of one shard into the landing zone."""
    with reported():
        results = reading.read_shard(installation.workspace, msgspec.convert(shard, planning.Shard), context.run.run_id)
    return msgspec.to_builtins(results)


@dg.op(out={table.replace(".", "_"): dg.Out(dg.Nothing) for table in TABLES})
def certify(context: dg.OpExecutionContext, installation: Installation, plan: Any, results: list[Any]) -> Iterator[Any]:
    """Load what was read completely; what was not keeps its old rows and is marked."""
    outcomes = [msgspec.convert(result, TenantResult) for shard in results for result in shard]
    planned = msgspec.convert(plan, planning.Plan)
    with reported():
        done = reading.certify(installation.workspace, context.run.run_id, planned, outcomes)
    for table in TABLES:
        metadata: dict[str, Any] = {"dagster/row_count": done.rows.get(table, sum(done.statuses.values()))}
        if table == "sync.tenants":
            metadata["statuses"] = counted(done.statuses, "status")
        yield dg.Output(None, output_name=table.replace(".", "_"), metadata=metadata)


@dg.config_mapping
def for_the_plan(config: SyncConfig) -> dict[str, Any]:
    """The run configuration of the graph is that of its first op."""
    return {"plan_shards": {"config": config.model_dump()}}


@dg.graph_multi_asset(
    name="microsoft",
    # The names of products are there before the tables that show them.
    ins={"products": dg.AssetIn(PRODUCT_LIST, dagster_type=dg.Nothing)},
    outs={table.replace(".", "_"): out(table) for table in TABLES},
    config=for_the_plan,
)
def tenants_in_shards(products: Any) -> dict[str, Any]:
    """Every tenant of every connection, read in shards and loaded at once."""
    shards, plan = plan_shards(products)
    loaded = certify(plan, shards.map(read_shard).collect())
    return {table.replace(".", "_"): getattr(loaded, table.replace(".", "_")) for table in TABLES}


# A graph's assets all land in one group: give each that of its schema.
microsoft = tenants_in_shards.map_asset_specs(lambda spec: spec.replace_attributes(group_name=spec.key.path[0]))
