"""Pictures of what was published, in the asset's metadata, where the UI shows them.

Belongs here: which pictures of which questions, when they are drawn, how they are handed over. Does
not: reading (client), drawing (pictures).

An asset of its own: metadata belong to one materialisation, and the UI shows the newest. On
`read_database`, which every sample of estimates publishes, pictures would be gone most of the time
or stored several times an hour.
"""

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import dagster as dg

from funding_pipeline import client, pictures
from funding_pipeline.defs.derived import PUBLISHED
from funding_pipeline.defs.jobs import DERIVATION
from funding_pipeline.defs.resources import Pipeline
from funding_pipeline.exchanges.base import Exchange
from funding_pipeline.settings import Settings

PICTURES = "pictures"
_ASSETS = ("BTC", "ETH", "SOL")
_LINES = timedelta(days=14)
_CURRENT = timedelta(days=1)
_WINDOW = "7d"
_COVERAGE_DAYS = 30

Draw = Callable[[], bytes | None]


def pictures_asset(exchanges: Sequence[Exchange]) -> dg.AssetsDefinition:
    """Drawn with the first derivation of an hour, and whenever a person asks for it."""
    names = [exchange.spec.name for exchange in exchanges]

    @dg.multi_asset(
        name="draw_pictures",
        specs=[
            dg.AssetSpec(
                PICTURES,
                deps=[PUBLISHED],
                skippable=True,
                group_name="published",
                kinds={"matplotlib"},
                owners=["team:funding"],
                description=(
                    "What pays, where it differs, how it went and how complete it is. See the "
                    "metadata below: *Show Markdown* opens a picture. Drawn once an hour at most."
                ),
            )
        ],
    )
    def draw_pictures(
        context: dg.AssetExecutionContext, pipeline: Pipeline
    ) -> Iterator[dg.MaterializeResult[None]]:
        hour = _hour(pipeline.now_ms() / 1000)
        if context.run.job_name == DERIVATION and _last_drawn(context.instance) == hour:
            context.log.info("pictures of this hour are there already")
            return
        started = time.monotonic()
        drawn = draw_all(drawings(pipeline.settings(), names), context.log.warning)
        if not drawn:
            return
        shown = {
            name: dg.MetadataValue.md(
                f"![{name}](data:image/png;base64,{base64.b64encode(png).decode('ascii')})"
            )
            for name, png in drawn.items()
        }
        yield dg.MaterializeResult(
            metadata={
                **shown,
                "size_kb": round(sum(map(len, drawn.values())) / 1e3, 1),
                "seconds": round(time.monotonic() - started, 3),
            }
        )

    return draw_pictures


def draw_all(drawings: Mapping[str, Draw], warn: Callable[[str], object]) -> dict[str, bytes]:
    """All pictures for which there is something to draw. One that fails is told and missing."""
    drawn: dict[str, bytes] = {}
    for name, draw in drawings.items():
        try:
            png = draw()
        except Exception as error:  # noqa: BLE001 - no picture is worth a red run
            warn(f"picture {name} failed: {type(error).__name__}: {error}")
        else:
            if png is not None:
                drawn[name] = png
    return drawn


def drawings(settings: Settings, exchanges: Sequence[str]) -> dict[str, Draw]:
    """The pictures by name, each from what is published now; `exchanges`: who gets a colour first.

    Of windows that are configured otherwise, the longest stands in for seven days.
    """
    published = settings.read_path
    window = _WINDOW if _WINDOW in settings.windows else settings.windows[-1]
    return {
        "funding_apr": partial(_heat_map, published, window),
        "top_spreads": partial(_top_spreads, published),
        "_".join(_ASSETS).lower(): partial(_lines, published, exchanges),
        "coverage": partial(_coverage, published),
    }


def _heat_map(published: Path, window: str) -> bytes | None:
    # Of markets that settle still.
    averages = client.moving_averages(
        window=window, newest=True, since=_CURRENT, database=published
    )
    return pictures.heat_map(averages, window=window)


def _top_spreads(published: Path) -> bytes | None:
    return pictures.top_spreads(client.spreads(window=_WINDOW, database=published))


def _lines(published: Path, exchanges: Sequence[str]) -> bytes | None:
    # A filter for an asset that nobody lists would be an error.
    listed = client.query(
        "SELECT DISTINCT asset FROM markets WHERE list_contains($assets, asset)",
        {"assets": list(_ASSETS)},
        database=published,
    )["asset"]
    if listed.is_empty():
        return None
    hourly = client.hourly(asset=listed, since=_LINES, database=published)
    return pictures.lines(hourly, assets=_ASSETS, first=exchanges)


def _coverage(published: Path) -> bytes | None:
    # The same figures and reasons as the table has and `funding coverage` prints; full days.
    cells = client.query(
        """SELECT exchange, day, share, reason FROM coverage_by_day
        WHERE day < (SELECT CAST(max(last_settlement) AS DATE) FROM markets)
          AND day >= (SELECT CAST(max(last_settlement) AS DATE) - $days FROM markets)""",
        {"days": _COVERAGE_DAYS},
        database=published,
    )
    return pictures.completeness(cells)


def _last_drawn(instance: dg.DagsterInstance) -> datetime | None:
    """The hour of the clock: an hour counted from the last time would let a run that is early
    miss its turn.
    """
    last = instance.get_latest_materialization_event(dg.AssetKey(PICTURES))
    return None if last is None else _hour(last.timestamp)


def _hour(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC).replace(minute=0, second=0, microsecond=0)
