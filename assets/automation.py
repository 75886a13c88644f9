"""What happens with nobody watching: the schedule, and the sensors for requests, decisions and failed runs.

All of them are on from the start. None of them starts a sync while another one is queued or at work. What does not live
here: what is due and who is left alone (`o365_etl.pipeline`), and messages to people.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from assets.causes import cause_of
from assets.resources import REQUEST_TAG, TRIGGER_TAG
from o365_etl.config import Settings, load_settings
from o365_etl.errors import ConfigError
from o365_etl.pipeline import queueing, timetable
from o365_etl.pipeline.workspace import Workspace, now

Answer = dg.RunRequest | dg.SkipReason

SCHEDULE = "scheduled_sync"
# Runs that end before they take their request up (they never started, or waited for the lock in vain).
MOST_ATTEMPTS = 3
_STARTED = [dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_UNFINISHED = [
    *_STARTED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
]


def schedules() -> list[dg.ScheduleDefinition]:
    """The schedule of the configuration that is in force when Dagster loads this; none without a usable one."""
    try:
        return [_schedule(load_settings())]
    except ConfigError:
        return []  # the sensors say why, at each look


def _schedule(settings: Settings) -> dg.ScheduleDefinition:
    cron, zone = timetable.cron_of(settings), settings.schedule.timezone
    try:
        return dg.ScheduleDefinition(
            name=SCHEDULE,
            job_name="sync",
            cron_schedule=cron,
            execution_timezone=zone,
            execution_fn=_sync_by_the_clock,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description="Syncs all tenants; who is quarantined is left alone until the next try is due.",
        )
    except dg.DagsterInvalidDefinitionError as error:
        # A cron may be one and yet use a letter that Dagster's parser does not know.
        raise ConfigError(
            f"schedule.cron: Dagster cannot use {cron!r}", remedy='Write five plain fields, as "0 6 * * 1-5".'
        ) from error


def _sync_by_the_clock(context: dg.ScheduleEvaluationContext) -> Answer:
    def answer(workspace: Workspace) -> Answer:
        if first := queueing.first_sync(workspace):
            return dg.SkipReason(f"The first sync is queued for {first['due_at']:%Y-%m-%d %H:%M} UTC.")
        if reason := _at_work(context.instance, workspace):
            return dg.SkipReason(reason)
        at = context.scheduled_execution_time.astimezone(UTC).isoformat()
        return dg.RunRequest(run_config=_configured(respect_pauses=True, at=at), tags={TRIGGER_TAG: "schedule"})

    return _if_configured(answer)


@dg.sensor(
    name="requested",
    job_name="sync",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Starts the syncs that were asked for (o365-etl sync --queue, a new connection) when they are due.",
)
def requested(context: dg.SensorEvaluationContext) -> Answer:
    """One run at a time: what is due stays queued until nothing else is at work."""

    def answer(workspace: Workspace) -> Answer:
        # Here because it is looked at most often: a lost run holds up rematches as well.
        _report_lost_runs(context.instance, workspace)
        due = workspace.state.requests.due(now())
        if not due:
            return dg.SkipReason("Nothing that was asked for is due." + _missing_schedule(context, workspace))
        if reason := _at_work(context.instance, workspace):
            return dg.SkipReason(f"{len(due)} due, waiting: {reason}")
        found = (_run_for(context.instance, workspace, request) for request in due)
        return next((run for run in found if run is not None), dg.SkipReason("What was due cannot be answered."))

    return _if_configured(answer)


def _run_for(instance: dg.DagsterInstance, workspace: Workspace, request: dict[str, Any]) -> dg.RunRequest | None:
    """The run that answers a request. The run itself takes it up: one that never gets so far leaves it queued."""
    request_id = request["request_id"]
    earlier = instance.get_runs(dg.RunsFilter(tags={REQUEST_TAG: request_id}))
    if any(run.status is dg.DagsterRunStatus.CANCELED for run in earlier):
        workspace.state.requests.cancel(request_id, now())
        return None
    if len(earlier) >= MOST_ATTEMPTS:
        last = earlier[0].run_id
        workspace.state.requests.take_up(request_id, last)
        why = f"the request {request_id} is given up: {len(earlier)} runs ended before they took it up"
        queueing.close_failed(workspace, last, why)
        return None
    run_key = f"{request_id}-{len(earlier) + 1}" if earlier else request_id
    config = _configured(tenants=request["tenants"], only_failed=request["only_failed"])
    return dg.RunRequest(run_key, config, tags={REQUEST_TAG: request_id, TRIGGER_TAG: request["trigger"]})


@dg.sensor(
    name="decided",
    job_name="rematch",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Asks for a rematch when somebody decided something since the last one.",
)
def decided(context: dg.SensorEvaluationContext) -> Answer:
    """One run for all decisions since the last look; the first look only remembers where it starts."""

    def answer(workspace: Workspace) -> Answer:
        latest = str(workspace.state.decisions.latest())
        if context.cursor == latest:
            return dg.SkipReason("Nothing was decided since the last rematch.")
        if context.cursor is not None and (run := _unfinished(context.instance, "rematch")):
            # Many decisions in a row are one rematch after the one that is on its way.
            return dg.SkipReason(f"the rematch {run.run_id} is {run.status.value.lower()}")
        is_first = context.cursor is None
        context.update_cursor(latest)
        if is_first:
            return dg.SkipReason("The first look: from now on decisions count.")
        decided_at = workspace.state.decisions.latest_at()
        if decided_at is not None and queueing.has_matched_since(workspace, decided_at):
            return dg.SkipReason("What was decided is in effect: a run has matched since.")
        return dg.RunRequest(f"decision-{latest}", tags={TRIGGER_TAG: "decision"})

    return _if_configured(answer)


@dg.run_failure_sensor(
    name="sync_failed",
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes into the sync log why a run failed, also when its process was killed.",
)
def sync_failed(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """What a run that died could not do itself."""
    try:
        workspace = Workspace.open()
    except ConfigError as error:
        return dg.SkipReason(error.line)
    run = context.dagster_run
    queueing.close_failed(workspace, run.run_id, f"the run of the job {run.job_name} failed: {cause_of(context)}")
    return None


def _if_configured(answer: Callable[[Workspace], Answer]) -> Answer:
    try:
        return answer(Workspace.open())
    except ConfigError as error:
        return dg.SkipReason(error.line)


def _missing_schedule(context: dg.SensorEvaluationContext, workspace: Workspace) -> str:
    """A sentence for an installation whose schedule Dagster does not have."""
    if context.repository_def is None or context.repository_def.has_schedule_def(SCHEDULE):
        return ""
    try:
        _schedule(workspace.settings)
    except ConfigError as error:
        return f" There is no scheduled sync: {error.line}"
    return " There is no scheduled sync: the configuration was not usable when Dagster loaded it. Reload the location."


def _configured(**sync: Any) -> dict[str, Any]:
    return {"ops": {"microsoft": {"config": sync}}}


def _at_work(instance: dg.DagsterInstance, workspace: Workspace) -> str | None:
    """Why no sync may be started now; None if one may."""
    _report_lost_runs(instance, workspace)
    holder = workspace.lock.holder()
    if holder is not None:
        return holder.sentence
    run = _unfinished(instance, "sync")
    return f"the sync {run.run_id} is {run.status.value.lower()}" if run else None


def _unfinished(instance: dg.DagsterInstance, job: str) -> dg.DagsterRun | None:
    runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=_UNFINISHED), limit=1)
    return runs[0] if runs else None


def _report_lost_runs(instance: dg.DagsterInstance, workspace: Workspace) -> None:
    """Tell Dagster of runs whose process is gone: it sees that only of processes that its own code server started, and
    would let them hold the one place in its queue for hours.
    """
    for record in instance.get_run_records(dg.RunsFilter(statuses=_STARTED)):
        started_at = datetime.fromtimestamp(record.start_time or record.create_timestamp.timestamp(), UTC)
        if queueing.is_lost(workspace, record.dagster_run.run_id, started_at, now()):
            instance.report_run_failed(record.dagster_run, "The process of this run ended before the run did.")
