"""The sensor that finds runs whose worker died with everything else: a crash, a power cut.

Belongs here: telling lost runs from living ones, and failing them. Does not: starting them again,
which run retries do (dagster.yaml).

A worker that dies alone is noticed by its code server. When that died as well nobody notices: run
monitoring asks the run launcher about health, and the default launcher cannot tell. The run would
stay STARTED, and as long the hourly tick would skip and no backfill be resumed. It may go when the
default launcher supports `check_run_worker_health`.
"""

import json
import socket

import dagster as dg

# Written by the default launcher; names the code server whose child the worker is.
SERVER_TAG = ".dagster/grpc_info"


def lost_runs_sensor() -> dg.SensorDefinition:
    """Fails started runs whose code server is gone, so that they are retried."""

    @dg.sensor(
        name="lost_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Finds runs that a crash left behind as started, so that they are run again.",
    )
    def lost_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        started = context.instance.get_run_records(
            dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
        )
        lost = [r.dagster_run for r in started if server_gone(r.dagster_run.tags.get(SERVER_TAG))]
        for run in lost:
            context.instance.report_run_failed(
                run, "The code server of this run is gone: Dagster was killed while it ran."
            )
        return dg.SkipReason(f"{len(lost)} of {len(started)} started runs were lost")

    return lost_runs


def server_gone(info: str | None) -> bool:
    """Whether nothing listens any more where the server did. In doubt it lives."""
    if info is None:
        return False
    try:
        server = json.loads(info)
        if path := server.get("socket"):
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(2)
                probe.connect(path)
        else:
            socket.create_connection((server["host"], server["port"]), timeout=2).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return True
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return False
