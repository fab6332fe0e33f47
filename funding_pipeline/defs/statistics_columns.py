"""Columns of the statistics' tables, as the asset graph shows them.

Belongs here: the tables that came after those of `columns`, and one meaning for each column name. A
test compares them with the published tables.
"""

_PAIR = "long_exchange VARCHAR, long_market VARCHAR, short_exchange VARCHAR, short_market VARCHAR"
_MARKET = "exchange VARCHAR, market VARCHAR, symbol VARCHAR, asset VARCHAR"


def _window(days: int) -> str:
    return (
        f"zscore_{days}d DOUBLE, percentile_{days}d DOUBLE, rate_hourly_mean_{days}d DOUBLE, "
        f"rate_hourly_std_{days}d DOUBLE, covered_hours_{days}d INTEGER, coverage_{days}d DOUBLE"
    )


TABLES = {
    "asset_averages": "asset VARCHAR, window VARCHAR, as_of TIMESTAMP, exchanges INTEGER, "
    "markets INTEGER, rate_hourly_mean DOUBLE, apr_mean DOUBLE, rate_hourly_oi_mean DOUBLE, "
    "apr_oi_mean DOUBLE, rate_hourly_volume_mean DOUBLE, apr_volume_mean DOUBLE, "
    "rate_hourly_min DOUBLE, apr_min DOUBLE, min_exchange VARCHAR, min_market VARCHAR, "
    "rate_hourly_max DOUBLE, apr_max DOUBLE, max_exchange VARCHAR, max_market VARCHAR, "
    "rate_hourly_spread DOUBLE, apr_spread DOUBLE, open_interest_usd DOUBLE, "
    "markets_with_oi INTEGER, oi_share DOUBLE, volume_24h_usd DOUBLE, markets_with_volume INTEGER, "
    "volume_share DOUBLE, oldest_as_of TIMESTAMP",
    "market_signals": f"{_MARKET}, as_of TIMESTAMP, rate_hourly DOUBLE, apr DOUBLE, "
    "rate_hourly_ema_24h DOUBLE, apr_ema_24h DOUBLE, ema_coverage_24h DOUBLE, "
    "rate_hourly_ema_72h DOUBLE, apr_ema_72h DOUBLE, ema_coverage_72h DOUBLE, "
    f"{_window(30)}, {_window(90)}",
    "stability": f"{_MARKET}, window VARCHAR, as_of TIMESTAMP, rate_hourly_mean DOUBLE, "
    "apr_mean DOUBLE, rate_hourly_std DOUBLE, apr_std DOUBLE, variation DOUBLE, "
    "sign_changes INTEGER, sign_persistence DOUBLE, autocorrelation_8h DOUBLE, "
    "autocorrelation_24h DOUBLE, covered_hours INTEGER, coverage DOUBLE",
    "seasonality": f"{_MARKET}, kind VARCHAR, slot INTEGER, label VARCHAR, "
    "rate_hourly_mean DOUBLE, apr_mean DOUBLE, positive_share DOUBLE, hours INTEGER, "
    "coverage DOUBLE, window_days INTEGER, as_of DATE",
    "spreads": f"asset VARCHAR, {_PAIR}, window VARCHAR, as_of TIMESTAMP, age_hours BIGINT, "
    "rate_hourly DOUBLE, apr DOUBLE, fees_taker DOUBLE, fees_maker DOUBLE, fees_assumed BOOLEAN, "
    "break_even_hours_taker DOUBLE, break_even_hours_maker DOUBLE, holding_hours INTEGER, "
    "net_apr_taker DOUBLE, net_apr_maker DOUBLE, hours SMALLINT, coverage DOUBLE, "
    "same_direction_share DOUBLE, alive_hours SMALLINT, half_life_hours FLOAT, basis DOUBLE, "
    "priced_at TIMESTAMP, open_interest_usd DOUBLE, volume_24h_usd DOUBLE, "
    "long_interval_hours SMALLINT, short_interval_hours SMALLINT, settlement_mismatch BOOLEAN, "
    "symbol VARCHAR, refreshed_at TIMESTAMP",
    "opportunities": f"asset VARCHAR, {_PAIR}, opened TIMESTAMP, opened_net_apr DOUBLE, "
    "peak TIMESTAMP, peak_net_apr DOUBLE, closed TIMESTAMP, closed_by VARCHAR, until TIMESTAMP, "
    "hours_open BIGINT, funding DOUBLE, fees DOUBLE, realised_net DOUBLE, symbol VARCHAR",
    "rate_correlations": "asset VARCHAR, exchange VARCHAR, market VARCHAR, other_exchange VARCHAR, "
    "other_market VARCHAR, correlation DOUBLE, cosine DOUBLE, common_hours SMALLINT, "
    "coverage DOUBLE, as_of TIMESTAMP",
    "gaps": f"{_MARKET}, first_missing TIMESTAMP, last_missing TIMESTAMP, missing INTEGER, "
    "interval_hours SMALLINT, state VARCHAR, reason VARCHAR, found_at TIMESTAMP, "
    "asked_times INTEGER, first_asked TIMESTAMP, last_asked TIMESTAMP, closed_at TIMESTAMP, "
    "answers VARCHAR",
}

MEANINGS = {
    "exchange": "name of the exchange",
    "market": "native symbol",
    "symbol": "unified symbol",
    "asset": "key that joins markets across exchanges; null: not told",
    "window": "length of the window that ends as_of; quote the name in SQL",
    "as_of": "UTC, end of what is summed up",
    "rate_hourly": "fraction per hour; of a pair, the short one's minus the long one's",
    "apr": "rate_hourly × 8760",
    "coverage": "covered hours / hours of the window; below 0.8 figures are null",
    "covered_hours": "hours that settlements paid for",
    "hours": "hours that the figure rests on",
    "open_interest_usd": "one side; of a pair, the lesser leg's",
    "volume_24h_usd": "traded in 24 hours; of a pair, the lesser leg's",
    "variation": "standard deviation / |mean|",
    "sign_persistence": "share of hours with the sign of the window's mean",
    "fees_taker": "four taker orders, fraction of one leg's notional",
    "fees_maker": "four maker orders, fraction of one leg's notional",
    "fees_assumed": "a fee of one leg is assumed and not known",
    "net_apr_taker": "APR of holding for holding_hours once, taker fees paid",
    "net_apr_maker": "APR of holding for holding_hours once, maker fees paid",
    "long_exchange": "of the leg that is long: the lower rate",
    "long_market": "native symbol of the long leg",
    "short_exchange": "of the leg that is short: the higher rate",
    "short_market": "native symbol of the short leg",
    "age_hours": "hours since as_of when it was computed",
    "holding_hours": "the window's length, at least 24",
    "break_even_hours_taker": "hours until the spread has paid four taker orders",
    "break_even_hours_maker": "hours until the spread has paid four maker orders",
    "same_direction_share": "share of the hours in which the difference had this sign",
    "half_life_hours": "in which a deviation from the window's mean halves",
    "priced_at": "UTC, when the older of both prices was seen",
    "settlement_mismatch": "the legs settle at different intervals",
    "alive_hours": "newest hours on end with this direction",
    "basis": "the short one's unit price above the long one's, fraction",
    "realised_net": "funding between opening and closing minus fees, fraction",
    "missing": "settlements that are expected and not there",
    "state": "open, filled or given up",
    "kind": "hour (of day) or weekday",
    "slot": "0-23, or 1 (Monday) to 7",
}
