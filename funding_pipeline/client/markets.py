"""Questions about single markets: what settled, figures of days and windows.

Belongs here: choosing rows of the views. Does not: what a position or a pair gets (positions), how
complete the data are (completeness).
"""

from datetime import timedelta

import polars as pl

from funding_pipeline.client.filters import Conditions, Moment, Names, span
from funding_pipeline.client.published import Location, frame, opened

_LONGEST_INTERVAL = timedelta(days=1)


def rates(
    *,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    since: Moment | None = None,
    until: Moment | None = None,
    database: Location = None,
) -> pl.DataFrame:
    """Settlements stamped in (since, until], by exchange, market and time.

    exchange, market, symbol, asset; funding_time (UTC, end of the paid period); rate (signed
    fraction of notional for the interval, + = longs pay); interval_hours; rate_hourly (rate /
    interval_hours); apr (rate_hourly × 8760, a fraction); direction (the side that pays: long,
    short, none); kind (settled, or recorded from estimates); pinned (cap or floor, where the rate
    is the one declared now); mark_price (where the exchange sends one).
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        where.stamps("funding_time", since, until)
        return frame(
            connection,
            f"""SELECT exchange, market, symbol, asset, funding_time, rate, interval_hours,
                rate_hourly, apr, direction, kind, pinned, mark_price
            FROM funding_rates{where} ORDER BY exchange, market, funding_time""",
            where.values,
        )


def hourly(
    *,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    since: Moment | None = None,
    until: Moment | None = None,
    database: Location = None,
) -> pl.DataFrame:
    """One row per market and paid hour that ends in (since, until], so that markets of different
    intervals line up; an hour that nothing paid for has no row.

    exchange, market, symbol, asset; hour (UTC, end of the paid hour); rate_hourly (fraction per
    hour, + = longs pay); apr (rate_hourly × 8760, a fraction).
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        start, end = span(connection, since, until)
        where.stamps("hour", start, end)
        # An hour is settled when it ends, or up to an interval later: this narrows the scan.
        where.stamps("funding_time", start, None if end is None else end + _LONGEST_INTERVAL)
        return frame(
            connection,
            f"""SELECT exchange, market, symbol, asset, hour, rate_hourly, apr
            FROM apr{where} ORDER BY exchange, market, hour""",
            where.values,
        )


def stats(
    *,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    since: Moment | None = None,
    until: Moment | None = None,
    database: Location = None,
) -> pl.DataFrame:
    """One row per market and UTC day that has hours in (since, until], by market and day.

    exchange, market, symbol, asset, day; rate_sum (realised funding of the day, fraction of
    notional, + = longs paid); rate_hourly_mean, _median, _std, _min, _max, _open, _close, _p05,
    _p95 (fractions per hour, each covered hour weighs the same) and apr_mean, apr_median, ...
    (× 8760); positive_share (of covered hours); longest_streak_hours; settlements,
    expected_settlements, intervals; pinned (settlements at cap or floor); covered_hours,
    live_hours, coverage. The view `daily_stats`, whole; the current day is as far as it has come.
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        where.days("day", since, until)
        return frame(
            connection,
            f"FROM daily_stats{where} ORDER BY exchange, market, day",
            where.values,
        )


def moving_averages(
    *,
    window: Names = None,
    newest: bool = False,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    since: Moment | None = None,
    until: Moment | None = None,
    database: Location = None,
) -> pl.DataFrame:
    """Trailing means per market, window and end of the window in (since, until]: every midnight,
    and hourly for the last week. `newest`: only the last one of each market and window, which for
    a market that no longer settles is an old one.

    exchange, market, symbol, asset; window (24h, 3d, 7d, 14d, 30d unless configured otherwise);
    as_of (UTC, end of the window); rate_hourly_mean (fraction per hour, time-weighted) and apr
    (× 8760), both null below coverage 0.8; covered_hours, coverage, settlements.
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.window(window, "base.chosen_windows")
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        where.stamps("as_of", since, until)
        last = """ QUALIFY row_number() OVER (PARTITION BY exchange, market, "window"
            ORDER BY as_of DESC) = 1"""
        return frame(
            connection,
            f"""SELECT exchange, market, symbol, asset, "window", as_of, rate_hourly_mean, apr,
                covered_hours, coverage, settlements
            FROM moving_averages{where}{last if newest else ""}
            ORDER BY exchange, market, length("window"), "window", as_of""",
            where.values,
        )


def latest(
    *,
    overdue: bool = False,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    database: Location = None,
) -> pl.DataFrame:
    """The newest settlement of every market, the highest APR first.

    Markets are left out that should have settled again: more than 1.5 intervals and an hour before
    the newest settlement of all. They are delisted, halted or not collected; `overdue=True` tells
    them as well.

    exchange, market, symbol, asset; funding_time (UTC, end of the paid period); rate (signed
    fraction of notional for the interval, + = longs pay); interval_hours; rate_hourly (rate /
    interval_hours); apr (rate_hourly × 8760, a fraction); direction (the side that pays);
    mark_price; age_hours (before the newest settlement of all); status (live, delisted, unlisted).
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        if not overdue:
            # As spreads have it: transforms/hourly_grid.py, stale_after.
            where.add("age_hours <= interval_hours * 3 // 2 + 1")
        return frame(
            connection,
            f"""SELECT * FROM (
                SELECT r.exchange, r.market, r.symbol, r.asset, r.funding_time, r.rate,
                    r.interval_hours, r.rate_hourly, r.apr, r.direction, r.mark_price,
                    date_diff('hour', r.funding_time, newest.stamp) AS age_hours, m.status
                FROM latest_rates r JOIN markets m USING (exchange, market),
                    (SELECT max(last_settlement) AS stamp FROM markets) newest)
            {where} ORDER BY apr DESC, exchange, market""",
            where.values,
        )


def stability(
    *,
    window: Names = None,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    database: Location = None,
) -> pl.DataFrame:
    """How steady each market's hourly rate was over the windows that end with its newest midnight.

    exchange, market, symbol, asset; window (7d, 30d, 90d); as_of (UTC); rate_hourly_mean and
    rate_hourly_std (fractions per hour), apr_mean and apr_std (× 8760); variation (standard
    deviation / |mean|); sign_changes; sign_persistence (share of hours with the sign of the mean);
    autocorrelation_8h and _24h; covered_hours, coverage. Figures are null below coverage 0.8.
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.window(window, "base.stability")
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        return frame(
            connection,
            f"""FROM stability{where}
            ORDER BY exchange, market, length("window"), "window" """,
            where.values,
        )
