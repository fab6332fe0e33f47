"""Questions about positions: what funding paid, and what pairs of exchanges would pay.

Belongs here: choosing rows of the macros and views. Does not: single markets' rates (markets).
"""

import polars as pl

from funding_pipeline.client.filters import Conditions, Moment, Names, known, span
from funding_pipeline.client.published import Location, frame, opened

_PAIRS = """(SELECT "window" FROM base.spreads
    UNION ALL SELECT "window" FROM base.spread_exclusions)"""


def carry(
    since: Moment,
    until: Moment | None = None,
    *,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    database: Location = None,
) -> pl.DataFrame:
    """What a position of 1 USD, opened at `since` and closed at `until` (by default: held still),
    got from funding, per market that settled in (since, until].

    exchange, market, symbol, asset, settlements; long_carry and short_carry (USD per USD of
    notional, so fractions, not annualised, fees not taken off; + = received); annualised (the
    long's, per covered hour × 8760; the short's is its negative); covered_hours, coverage (of the
    hours of the span; below 0.8 the three amounts are null); first_stamp, last_stamp (UTC).
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        start, end = span(connection, since, until)
        return frame(
            connection,
            f"FROM carry($opened, $closed){where} ORDER BY exchange, market",
            {**where.values, "opened": start, "closed": end},
        )


def cumulative(
    since: Moment,
    until: Moment | None = None,
    *,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    database: Location = None,
) -> pl.DataFrame:
    """How the carry of a position opened at `since` grew: one row per settlement stamped in
    (since, until]. Holes are not made up for: `carry` tells how much of the span is covered.

    exchange, market, symbol, asset; funding_time (UTC); rate (signed fraction of notional for the
    interval, + = longs pay), interval_hours; long_carry and short_carry (USD per USD of notional
    from `since` to this settlement; + = received).
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.markets(exchange=exchange, market=market, symbol=symbol, asset=asset)
        start, end = span(connection, since, until)
        return frame(
            connection,
            f"""FROM cumulative_funding($only_exchange, $only_market, $opened, $closed){where}
            ORDER BY exchange, market, funding_time""",
            {
                **where.values,
                # Of what it is told, the macro reads no more than it needs.
                "only_exchange": exchange if isinstance(exchange, str) else None,
                "only_market": market if isinstance(market, str) else None,
                "opened": start,
                "closed": end,
            },
        )


def spreads(
    *,
    window: Names = "7d",
    excluded: bool = False,
    exchange: Names = None,
    market: Names = None,
    symbol: Names = None,
    asset: Names = None,
    database: Location = None,
) -> pl.DataFrame:
    """Pairs of markets of one asset on two exchanges, as of the last derivation, the highest net
    APR first: long where the mean rate of the window was lower, short where it was higher.

    `window`: latest, 24h, 3d, 7d, 14d or 30d, several, or None for all. `exchange`: one name gives
    the pairs with a leg there, several those with both legs among them; `market`: pairs with such a
    leg. `excluded`: the pairs that were left out instead, with the `reason` (stale, thin, ...).

    asset, long_exchange, long_market, short_exchange, short_market, window, as_of (UTC), age_hours;
    rate_hourly and apr (short minus long, fractions of one leg's notional, before fees);
    fees_taker, fees_maker (four orders), fees_assumed; break_even_hours_*; net_apr_taker and
    net_apr_maker (held once for holding_hours, fees paid); hours, coverage; same_direction_share,
    alive_hours, half_life_hours; basis (short price / long price - 1), priced_at;
    open_interest_usd, volume_24h_usd (the lesser leg's); long_interval_hours,
    short_interval_hours, settlement_mismatch; symbol, refreshed_at.
    """
    with opened(database) as connection:
        where = Conditions(connection)
        where.window(window, _PAIRS)
        where.markets(symbol=symbol, asset=asset)
        if exchange is not None:
            names = known(connection, "exchange", exchange)
            joined = "AND" if len(names) > 1 else "OR"
            where.add(
                f"(list_contains($exchange, long_exchange) {joined} "
                "list_contains($exchange, short_exchange))",
                exchange=names,
            )
        if market is not None:
            where.add(
                "(list_contains($market, long_market) OR list_contains($market, short_market))",
                market=known(connection, "market", market),
            )
        return frame(
            connection,
            f"""FROM {"spread_exclusions" if excluded else "spreads"}{where}
            ORDER BY net_apr_taker DESC NULLS LAST, long_exchange, long_market, short_exchange,
                short_market, "window" """,
            where.values,
        )
