"""The log of opportunities: when the spread of a pair began to pay, and what it paid to the end.

Belongs here: the log as a function of settlements, of any span, and how a span goes on from the one
before. Does not: liquidity and prices (no settlement tells them), reading and storing the log.

What holds at an hour follows from the settlements stamped up to it, nothing later: rebuilt for any
span, the log has the same rows that hour by hour updating gave.
"""

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from funding_pipeline.transforms.fees import net_apr, round_trip
from funding_pipeline.transforms.known_windows import PAIRS, WINDOW_HOURS, Span, known_windows
from funding_pipeline.transforms.measures import TIME, conform

_BLOCK_ROWS = 500_000


@dataclass(frozen=True, slots=True)
class Rule:
    """An opportunity opens when the net APR of the 24 h window exceeds `open_above` (a fraction)
    and closes when it falls below `close_below`: where a day would not pay four taker fees.
    """

    open_above: float = 0.25
    close_below: float = 0.0


OPPORTUNITIES: dict[str, pl.DataType] = {
    "long_id": pl.Int32(),
    "short_id": pl.Int32(),
    "opened": TIME,
    "opened_net_apr": pl.Float64(),
    "peak": TIME,
    "peak_net_apr": pl.Float64(),
    "closed": TIME,
    "closed_by": pl.String(),
    "until": TIME,
    "funding_steps": pl.Int128(),
    "fees": pl.Float64(),
}
_KEY = ["long_id", "short_id"]


def follow(
    settlements: pl.DataFrame,
    pairs: pl.DataFrame,
    carried: pl.DataFrame,
    *,
    fees: pl.DataFrame,
    until: datetime,
    rule: Rule,
) -> pl.DataFrame:
    """Opportunities that are open at or opened in the hours [since, until] of each pair, closed or
    not, with the schema `OPPORTUNITIES`, sorted by opened and ids.

    `pairs` (schema `PAIRS`): markets and the first hour to look at; `carried`: their opportunities
    that were open an hour before `since`, as this function gave them; `settlements`: all stamped
    within 72 h before the earliest `since` and up to `until`; `fees` (schema `TAKER_FEES`): each
    market's taker fee by the hour from which it holds, the earliest from before all hours.

    At an hour t the window is that of 24 h up to the newest hour that both cover by settlements
    stamped up to t; its net APR is `fees.net_apr` of short - long, held for 24 h, with four taker
    fees of that hour. Each direction of a pair is followed on its own. It opens at the hour of
    `rule`, `opened_net_apr` being that hour's; `peak` is the first hour of the highest net APR. It
    closes by `net` as `rule` says, or by `stale`, when a leg's newest settlement is 1.5 intervals
    and an hour old or their newest common hour more than 48 h. A window with less than 0.8 of its
    hours says nothing: what is open stays open.

    `until` is `closed`, or the last hour looked at. `funding_steps`: what the two legs were paid,
    short minus long, by whole settlements stamped in (opened, until], in 2**-100 of one leg's
    notional (exact, so that it goes on exactly). `fees`: the takers' fees of both legs at `opened`
    and again at `until`, a fraction. The realised net is funding - fees.
    """
    conform(pairs, PAIRS)
    conform(carried, OPPORTUNITIES)
    if pairs.is_empty():
        return carried.clear()
    span = Span(settlements, pairs, fees, until)
    block = max(1, _BLOCK_ROWS // span.grid.hours)
    parts = [
        _events(span, span.pairs.slice(start, block), carried, rule)
        for start in range(0, len(span.pairs), block)
    ]
    return _log(span, pl.concat(parts), carried).sort("opened", *_KEY)


def _events(span: Span, pairs: pl.DataFrame, carried: pl.DataFrame, rule: Rule) -> pl.DataFrame:
    """The hours of each direction that may matter, by direction and hour: its net APR, the event
    (True opens, False closes, null leaves it), and whether it is a stale one.
    """
    live = carried.select(*_KEY, carried=True)
    windows = known_windows(span, pairs)
    # With the lowest fees that hold at any time: few pairs ever come so far.
    best = windows.group_by("pair").agg(best=pl.col("mean").abs().max())
    parts = []
    for long, short, sign in (("first", "second", 1), ("second", "first", -1)):
        sides = (
            pairs.with_row_index("pair")
            .with_columns(pl.col("pair").cast(pl.Int32))
            .rename({f"{long}_id": "long_id", f"{short}_id": "short_id"})
            .join(best, on="pair", how="left")
            .join(live, on=_KEY, how="left")
        )
        least = net_apr(
            pl.col("best"), round_trip(pl.col("first_fee"), pl.col("second_fee")), WINDOW_HOURS
        )
        worth = sides.filter((least > rule.open_above) | pl.col("carried").is_not_null())
        hours = windows.join(worth.select("pair", *_KEY), on="pair", maintain_order="left")
        parts.append(hours.with_columns(mean=pl.col("mean") * sign, at=span.time_of("hour")))
    rows = pl.concat(parts).sort(*_KEY, "hour")
    rows = rows.with_columns(
        long_fee=span.taker(rows, "long_id", "at"), short_fee=span.taker(rows, "short_id", "at")
    )
    fees = round_trip(pl.col("long_fee"), pl.col("short_fee"))
    net = pl.when(~pl.col("stale")).then(net_apr(pl.col("mean"), fees, WINDOW_HOURS))
    return rows.with_columns(net=net).select(
        *_KEY,
        "at",
        "stale",
        "net",
        event=pl.when(pl.col("stale"))
        .then(statement=False)
        .when(pl.col("net") > rule.open_above)
        .then(statement=True)
        .when(pl.col("net") < rule.close_below)
        .then(statement=False),
    )


def _log(span: Span, events: pl.DataFrame, carried: pl.DataFrame) -> pl.DataFrame:
    """Runs of open hours, each with the hour that closed it, joined to what was carried."""
    before = carried.select(
        *_KEY,
        was_opened="opened",
        was_opened_apr="opened_net_apr",
        was_peak="peak",
        was_peak_apr="peak_net_apr",
        was_steps="funding_steps",
        was_until="until",
    )
    rows = (
        events.join(before, on=_KEY, how="left", maintain_order="left")
        .with_columns(was=pl.col("was_opened").is_not_null())
        .with_columns(
            open=pl.coalesce(pl.col("event").forward_fill().over(_KEY), "was"),
        )
        .with_columns(before=pl.coalesce(pl.col("open").shift().over(_KEY), "was"))
        .with_columns(run=(pl.col("open") & ~pl.col("before")).cum_sum().over(_KEY))
        .filter(pl.col("open") | pl.col("before"))
    )
    # Run 0 is the carried one.
    first = pl.col("run") == 0
    held = pl.col("open")
    net = pl.when("open").then("net")
    highest = net.max()
    runs = rows.group_by(*_KEY, "run").agg(
        since=pl.col("at").first(),
        since_apr=pl.col("net").first(),
        top=pl.col("at").filter(net == highest).first(),
        top_apr=highest,
        closed=pl.col("at").filter(~held).first(),
        stale=pl.col("stale").filter(~held).first(),
        **{name: pl.col(name).first() for name in before.columns if name not in _KEY},
    )
    risen = pl.col("top_apr").is_not_null() & (
        ~first | (pl.col("top_apr") > pl.col("was_peak_apr"))
    )
    log = runs.with_columns(
        opened=pl.when(first).then("was_opened").otherwise("since"),
        opened_net_apr=pl.when(first).then("was_opened_apr").otherwise("since_apr"),
        peak=pl.when(risen).then("top").otherwise("was_peak"),
        peak_net_apr=pl.when(risen).then("top_apr").otherwise("was_peak_apr"),
        closed_by=pl.when(pl.col("stale"))
        .then(pl.lit("stale"))
        .when(~pl.col("stale"))
        .then(pl.lit("net")),
        until=pl.col("closed").fill_null(span.until),
        start=pl.when(first).then("was_until").otherwise("since"),
        steps_before=pl.when(first).then("was_steps").otherwise(pl.lit(0, dtype=pl.Int128)),
    )
    return _paid(span, log).select(
        pl.col(name).cast(dtype) for name, dtype in OPPORTUNITIES.items()
    )


def _paid(span: Span, log: pl.DataFrame) -> pl.DataFrame:
    """With the funding of (start, until] added to what was paid before, and the fees."""
    for leg in ("long", "short"):
        log = log.join(
            span.places.rename({"place": leg}),
            left_on=f"{leg}_id",
            right_on="market_id",
            maintain_order="left",
        )
    start, end = (log.select(span.hour_of(name))[name] for name in ("start", "until"))
    paid = span.known.paid
    steps = [
        paid.gather(log[leg] + end) - paid.gather(log[leg] + start) for leg in ("short", "long")
    ]
    fees = [
        span.taker(log, f"{leg}_id", time)
        for leg in ("long", "short")
        for time in ("opened", "until")
    ]
    return log.with_columns(
        funding_steps=pl.col("steps_before") + (steps[0] - steps[1]),
        fees=fees[0] + fees[1] + fees[2] + fees[3],
    )
