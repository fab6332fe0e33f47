"""Column schemas and descriptions of the published tables, as the UI shows them."""

from collections.abc import Iterable

import dagster as dg

from funding_pipeline.defs import statistics_columns

_MARKET = {
    "exchange": ("VARCHAR", "exchange name"),
    "market": ("VARCHAR", "native symbol"),
    "symbol": ("VARCHAR", "unified symbol"),
}
_ASSET = {"asset": ("VARCHAR", "key that joins markets across exchanges; null: not told")}
_RATE = {
    "funding_time": ("TIMESTAMP", "UTC, end of the paid period, snapped to the hour"),
    "rate": ("DOUBLE", "signed fraction of notional for the interval; + = longs pay"),
    "interval_hours": ("SMALLINT", "funding period that the rate pays for"),
    "rate_hourly": ("DOUBLE", "rate / interval_hours"),
    "apr": ("DOUBLE", "rate_hourly × 8760, simple, a fraction: 0.1095 = 10.95 %"),
    "direction": ("VARCHAR", "side that pays: long, short, none"),
}

_TABLES: dict[str, dict[str, tuple[str, str]]] = {
    "funding_rates": _MARKET
    | _RATE
    | {
        "kind": ("VARCHAR", "settled, or recorded from estimates"),
        "raw_rate": ("VARCHAR", "the text as the exchange sent it"),
        "lag_ms": ("INTEGER", "stamp as sent minus funding_time"),
        "cumulative_value": ("DOUBLE", "where the exchange sends one"),
        "mark_price": ("DOUBLE", "where the exchange sends one"),
        "source": ("VARCHAR", "api or import"),
        "load_id": ("BIGINT", "load that wrote the current value"),
        "collected_at": ("TIMESTAMP", "UTC, first seen"),
    }
    | _ASSET
    | {"pinned": ("VARCHAR", "cap or floor, where the rate is the one declared now")},
    "latest_rates": _MARKET
    | _RATE
    | {"mark_price": ("DOUBLE", "where the exchange sends one")}
    | _ASSET,
    "predicted_rates": _MARKET
    | {
        "observed_at": ("TIMESTAMP", "UTC, when the exchange was asked"),
        "rate": ("DOUBLE", "running estimate, signed fraction for the interval; + = longs pay"),
        "interval_hours": ("SMALLINT", "funding period that the estimate is for"),
        "rate_hourly": ("DOUBLE", "rate / interval_hours"),
        "apr": ("DOUBLE", "rate_hourly × 8760"),
        "next_funding_time": ("TIMESTAMP", "UTC, where the exchange tells it"),
        "mark_price": ("DOUBLE", "where the exchange sends one"),
        "index_price": ("DOUBLE", "where the exchange sends one"),
        "open_interest_usd": ("DOUBLE", "one side"),
        "volume_24h_usd": ("DOUBLE", "traded in the last 24 hours"),
        "raw_rate": ("VARCHAR", "the text as the exchange sent it"),
    }
    | _ASSET,
    "apr": _MARKET
    | {
        "hour": ("TIMESTAMP", "UTC, end of the paid hour"),
        "funding_time": ("TIMESTAMP", "the settlement that paid it"),
        "rate_hourly": ("DOUBLE", "fraction per hour"),
        "apr": ("DOUBLE", "rate_hourly × 8760"),
    }
    | _ASSET,
    "daily_stats": _MARKET
    | {
        "day": ("DATE", "UTC day of the paid hours"),
        "settlements": ("INTEGER", "settlements of the day"),
        "rate_sum": ("DOUBLE", "realised funding of the day, fraction of notional"),
        "rate_hourly_mean": ("DOUBLE", "time-weighted"),
        "rate_hourly_min": ("DOUBLE", "lowest"),
        "rate_hourly_max": ("DOUBLE", "highest"),
        "rate_hourly_open": ("DOUBLE", "first"),
        "rate_hourly_close": ("DOUBLE", "last"),
        "apr_mean": ("DOUBLE", "rate_hourly_mean × 8760"),
        "positive_share": ("DOUBLE", "share of covered hours in which longs paid"),
        "covered_hours": ("DOUBLE", "hours that settlements paid for"),
        "live_hours": ("DOUBLE", "hours the market lived"),
        "coverage": ("DOUBLE", "covered_hours / live_hours, at most 1"),
    }
    | _ASSET
    | {
        "rate_hourly_median": ("DOUBLE", "over the covered hours, as the three below"),
        "rate_hourly_std": ("DOUBLE", "population standard deviation"),
        "rate_hourly_p05": ("DOUBLE", "5th percentile"),
        "rate_hourly_p95": ("DOUBLE", "95th percentile"),
        "apr_open": ("DOUBLE", "rate_hourly_open × 8760, as those below of theirs"),
        "apr_high": ("DOUBLE", "of rate_hourly_max"),
        "apr_low": ("DOUBLE", "of rate_hourly_min"),
        "apr_close": ("DOUBLE", "of rate_hourly_close"),
        "apr_median": ("DOUBLE", "of rate_hourly_median"),
        "apr_std": ("DOUBLE", "of rate_hourly_std"),
        "apr_p05": ("DOUBLE", "of rate_hourly_p05"),
        "apr_p95": ("DOUBLE", "of rate_hourly_p95"),
        "positive_streak_hours": ("INTEGER", "longest run of hours on end in which longs paid"),
        "negative_streak_hours": ("INTEGER", "longest run of hours on end in which shorts paid"),
        "longest_streak_hours": ("INTEGER", "the longer of the two"),
        "expected_settlements": ("INTEGER", "settlements and those missing, by their intervals"),
        "intervals": ("VARCHAR", "settlements of each interval: 4h x 2, 8h x 2"),
        "pinned": ("INTEGER", "settlements at the declared cap or floor; null: none declared"),
    },
    "moving_averages": _MARKET
    | {
        "window": ("VARCHAR", "24h, 3d, 7d, 14d, 30d; quote the name in SQL"),
        "as_of": ("TIMESTAMP", "UTC, end of the window"),
        "rate_hourly_mean": ("DOUBLE", "time-weighted; null below coverage 0.8"),
        "apr": ("DOUBLE", "rate_hourly_mean × 8760"),
        "covered_hours": ("DOUBLE", "hours that settlements paid for"),
        "coverage": ("DOUBLE", "covered hours / live hours of the window"),
        "settlements": ("INTEGER", "settlements that overlap the window"),
    }
    | _ASSET,
}


def table_metadata(table: str, *, whole: bool = True) -> dict[str, object]:
    """Definition metadata of an asset that is a published table, or a part of one.

    Only whole tables are named: Dagster links all assets of one table name to each other.
    """
    columns = [
        dg.TableColumn(name, kind, description=text) for name, (kind, text) in _columns(table)
    ]
    named = {"dagster/table_name": f"read.duckdb/{table}"} if whole else {}
    return {"dagster/column_schema": dg.TableSchema(columns=columns), **named}


def _columns(table: str) -> Iterable[tuple[str, tuple[str, str | None]]]:
    if table in _TABLES:
        return _TABLES[table].items()
    pairs = (column.split(" ") for column in statistics_columns.TABLES[table].split(", "))
    return ((name, (kind, statistics_columns.MEANINGS.get(name))) for name, kind in pairs)
