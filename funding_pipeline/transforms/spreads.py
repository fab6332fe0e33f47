"""Funding spreads: every pair of markets of one asset on two exchanges, and why some are left out.

Belongs here: which pairs there are, long and short, the reasons for leaving one out. Does not: the
differences (`pair_windows`), fees (`fees`), where markets and prices are read.

Spreads are fractions of one leg's notional: 1 USD long and 1 USD short. Nothing is cut for being
large; what is left out is listed with its reason.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from funding_pipeline.transforms.hourly_grid import hourly_grid, stale_after
from funding_pipeline.transforms.measures import SETTLEMENTS, TIME, conform, floor_hour
from funding_pipeline.transforms.moving_averages import MIN_COVERAGE
from funding_pipeline.transforms.pair_windows import GRID_HOURS, LENGTHS_HOURS, pair_windows

# Prices of one asset agree within 1.5 % across exchanges (domain/collisions.py): beyond this the
# pair is either not one asset, or funding is the smaller part of what will happen to it.
MAX_PRICE_APART = 0.03
# Prices that were not seen together are not compared.
PRICES_TOGETHER = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Floors:
    """The least open interest (one side) and 24 h volume of either leg, USD; unknown is not thin.

    The origin left out markets with less than 200,000 USD of open interest.
    """

    open_interest_usd: float = 200_000.0
    volume_24h_usd: float = 200_000.0


MARKETS: dict[str, pl.DataType] = {
    "market_id": pl.Int32(),
    "exchange": pl.String(),
    "symbol": pl.String(),
    "asset": pl.String(),
    "quote": pl.String(),
    "listed": pl.Boolean(),
    "doubted": pl.Boolean(),
    "held": pl.Boolean(),
    "unit_price": pl.Float64(),
    "priced_at": TIME,
    "open_interest_usd": pl.Float64(),
    "volume_24h_usd": pl.Float64(),
}
SPREADS: dict[str, pl.DataType] = {
    "long_id": pl.Int32(),
    "short_id": pl.Int32(),
    "window": pl.String(),
    "as_of": TIME,
    "rate_hourly": pl.Float64(),
    "hours": pl.Int16(),
    "same_direction_hours": pl.Int16(),
    "alive_hours": pl.Int16(),
    "half_life_hours": pl.Float32(),
    "reason": pl.String(),
}


def spreads(
    settlements: pl.DataFrame, markets: pl.DataFrame, *, now: datetime, floors: Floors
) -> pl.DataFrame:
    """One row per pair of markets and window, with the schema `SPREADS`, sorted by window and ids.

    `settlements` as in `measures.checked_settlements`, all that are stamped within the last 768 h;
    `markets` (schema `MARKETS`) are paired if they settled
    within that time: on different exchanges, of one asset, or of one symbol where an asset is not
    told.

    `as_of` is the newest hour that both cover and have settled; a window ends with it and knows
    only hours that both cover. Long is the market with the lower mean rate of these hours, so that
    the direction may differ between windows; of two equal ones, the smaller id. `rate_hourly` is
    short - long, a fraction per hour of one leg's notional, null where `hours`, those that both
    cover, are less than 0.8 of the window's (its whole length: a market of two days has no spread
    of 30, whatever its own average is). `same_direction_hours`: those of `hours` in which the short
    one's rate was above the long one's; `alive_hours`: consecutive ones up to as_of, at most 720.
    `half_life_hours`: see `pair_windows`. In the window `latest`, as_of alone.

    `reason` is null or the first that applies: its exchange is held; a market is not listed any
    more; stale: the newest settlement is more than 1.5 intervals and an hour old at `now` (floored
    to the hour), or no hour is common; ticker collision: an asset is not told, or doubted; quotes
    differ: not both in dollars or what is worth one, nor in the same currency; price apart: unit
    prices seen within 15 minutes of each other differ by more than 3 %; thin: a known open interest
    or volume is below the floors; coverage: below 0.8, for that window alone.
    """
    last = floor_hour(now)
    legs = _legs(settlements, conform(markets, MARKETS), last)
    grid = hourly_grid(settlements, legs["market_id"], last=last, hours=GRID_HOURS)
    pairs = _candidates(legs, floors)
    windows = pair_windows(grid, pairs)
    lengths = pl.DataFrame({"window": LENGTHS_HOURS.keys(), "length": LENGTHS_HOURS.values()})
    rising = pl.col("rate_hourly").fill_null(0.0) >= 0
    covered = pl.col("hours") >= MIN_COVERAGE * pl.col("length")
    reason = pl.coalesce(
        "reason",
        pl.when(pl.col("hours").is_null()).then(pl.lit("stale")),
        pl.when(~covered).then(pl.lit("coverage")),
    )
    return (
        pairs.join(lengths, how="cross")
        .join(windows, on=["first", "second", "window"], how="left")
        .select(
            "window",
            reason,
            "half_life_hours",
            long_id=pl.when(rising).then("first_id").otherwise("second_id"),
            short_id=pl.when(rising).then("second_id").otherwise("first_id"),
            as_of=pl.lit(grid.first, dtype=TIME) + pl.duration(hours="newest"),
            rate_hourly=pl.when(covered).then(pl.col("rate_hourly").abs()),
            hours=pl.col("hours").fill_null(0),
            same_direction_hours=pl.when(rising).then("higher_hours").otherwise("lower_hours"),
            alive_hours=pl.when(rising).then("higher_run").otherwise("lower_run"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in SPREADS.items())
        .sort("window", "long_id", "short_id")
    )


def quote_family() -> pl.Expr:
    """Quotes whose prices compare: dollars and what is worth one, else the currency itself."""
    quote = pl.col("quote")
    dollar = quote.str.contains("USD", literal=True) | (quote == "DAI")
    return pl.when(dollar).then(pl.lit("USD")).otherwise(quote)


def asset_pairs(markets: pl.DataFrame) -> pl.DataFrame:
    """`first_id` < `second_id` of every two markets of one asset on two exchanges, sorted.

    Of `markets` the columns market_id, exchange, asset; a null asset is paired with nothing.
    """
    side = markets.drop_nulls("asset").select("asset", "exchange", id="market_id")
    return _two_exchanges(side.join(side, on="asset", suffix="_2"))


def _candidates(legs: pl.DataFrame, floors: Floors) -> pl.DataFrame:
    """All pairs with their places, what `pair_windows` needs, and the reason for the whole pair."""
    side = legs.select("symbol", "asset", "exchange", id="market_id")
    untold = side.filter(pl.col("asset").is_null()).join(side, on="symbol", suffix="_2")
    turned = untold.rename({"id": "id_2", "id_2": "id"})
    pairs = pl.concat([asset_pairs(legs), *map(_two_exchanges, (untold, turned))]).unique()
    for leg in ("first", "second"):
        pairs = pairs.join(
            legs.rename({name: f"{leg}_{name}" for name in legs.columns}),
            left_on=f"{leg}_id",
            right_on=f"{leg}_market_id",
        )
    return pairs.select(
        "first_id",
        "second_id",
        first="first_place",
        second="second_place",
        settled=pl.min_horizontal("first_settled", "second_settled"),
        block_hours=pl.max_horizontal("first_interval_hours", "second_interval_hours"),
        reason=_reason(floors),
    ).sort("first_id", "second_id")


def _two_exchanges(joined: pl.DataFrame) -> pl.DataFrame:
    ordered = (pl.col("id") < pl.col("id_2")) & (pl.col("exchange") != pl.col("exchange_2"))
    return (
        joined.filter(ordered).select(first_id="id", second_id="id_2").sort("first_id", "second_id")
    )


def _legs(settlements: pl.DataFrame, markets: pl.DataFrame, last: datetime) -> pl.DataFrame:
    """Markets that settled lately, by id, with their newest settlement and interval."""
    start = last - timedelta(hours=GRID_HOURS - 1)
    newest = (
        conform(settlements, SETTLEMENTS)
        .filter(pl.col("funding_time").is_between(start, last))
        .sort("funding_time")
        .group_by("market_id")
        .agg(pl.col("funding_time", "interval_hours").last())
    )
    age = (pl.lit(last, dtype=TIME) - pl.col("funding_time")).dt.total_hours().cast(pl.Int32)
    return (
        markets.join(newest, on="market_id")
        .sort("market_id")
        .with_columns(
            pl.col("interval_hours").cast(pl.Int32),
            place=pl.int_range(pl.len(), dtype=pl.Int32),
            settled=GRID_HOURS - 1 - age,
            stale=age > stale_after(),
            family=quote_family(),
        )
    )


def _reason(floors: Floors) -> pl.Expr:
    def either(column: str) -> pl.Expr:
        return pl.col(f"first_{column}") | pl.col(f"second_{column}")

    def least(column: str) -> pl.Expr:
        return pl.min_horizontal(f"first_{column}", f"second_{column}")

    apart = (pl.col("first_priced_at") - pl.col("second_priced_at")).abs() <= PRICES_TOGETHER
    low, high = least("unit_price"), pl.max_horizontal("first_unit_price", "second_unit_price")
    found = {
        "held": either("held"),
        "not listed": ~(pl.col("first_listed") & pl.col("second_listed")),
        "stale": either("stale"),
        "ticker collision": either("doubted")
        | pl.col("first_asset").is_null()
        | pl.col("second_asset").is_null(),
        "quotes differ": pl.col("first_family") != pl.col("second_family"),
        "price apart": apart & (high / low - 1 > MAX_PRICE_APART),
        "thin": (least("open_interest_usd") < floors.open_interest_usd)
        | (least("volume_24h_usd") < floors.volume_24h_usd),
    }
    return pl.coalesce(pl.when(applies).then(pl.lit(reason)) for reason, applies in found.items())
