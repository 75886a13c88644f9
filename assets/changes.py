"""The plan, and what of it was written to IT Glue. Writing starts only after the blocking checks of all it rests on."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.failures import reported
from assets.resources import Installation
from assets.specs import OWNERS, counted, key, spec, tables_of
from o365_etl.pipeline import applying, changing

PLAN_INPUTS = (*tables_of("m365", "itglue", "match", "compare"), "sync.tenants")
APPLIED = dg.AssetKey(["sync", "applied"])


class ApplyConfig(dg.Config):
    """A sync writes in mode `apply` only; a person who runs `apply` has approved what is written."""

    by_person: bool = False
    preview: bool = Field(default=False, description="Plan, but write nothing, whatever the mode.")


@dg.multi_asset(name="plan", specs=[spec("sync.changes", PLAN_INPUTS)])
def plan(context: dg.AssetExecutionContext, installation: Installation) -> dg.MaterializeResult:
    """Make the plan, and let the brakes look at it."""
    with reported():
        done = changing.plan_changes(installation.workspace, context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": done.rows,
            "changes": counted(done.counts, "action, resource, state"),
            "tenants that wait": len(done.blocked),
        }
    )


@dg.multi_asset(
    name="applied",
    specs=[
        dg.AssetSpec(
            APPLIED,
            deps=[key("sync.changes")],
            description="What was written to IT Glue: the approved part of the plan, each change once.",
            group_name="sync",
            kinds={"python"},
            owners=OWNERS,
        )
    ],
)
def applied(
    context: dg.AssetExecutionContext, config: ApplyConfig, installation: Installation
) -> Iterator[dg.MaterializeResult]:
    """Write what is approved."""
    with reported():
        done = applying.apply_plan(
            installation.workspace, context.run.run_id, by_person=config.by_person, preview=config.preview
        )
    yield dg.MaterializeResult(
        asset_key=APPLIED,
        metadata={
            "outcome": counted(done.counts, "outcome"),
            "changes that wait for a person": done.waiting,
            "tenants held back by a brake": done.blocked_tenants,
        },
    )
