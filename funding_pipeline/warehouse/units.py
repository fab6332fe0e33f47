"""What the numbers in columns are in, by the columns' names, which mean the same in every table.

Belongs here: words for manifests. Does not: conversions (domain.rates).
"""

FRACTION = "fraction of notional"
_UNITS = {
    "rate": f"{FRACTION} for the interval, + longs pay shorts",
    "rate_hourly": f"{FRACTION} per hour",
    "rate_sum": f"{FRACTION}, sum of the rates",
    "apr": f"{FRACTION} per year, simple",
    "apr_mean": f"{FRACTION} per year, simple",
    "rate_cap": f"{FRACTION} for the interval",
    "rate_floor": f"{FRACTION} for the interval",
    "raw_rate": "text as sent, in the unit of its source",
    "interval_hours": "hours",
    "covered_hours": "hours",
    "live_hours": "hours",
    "lag_ms": "milliseconds",
    "coverage": "share, 0 to 1",
    "positive_share": "share, 0 to 1",
    "mark_price": "quote currency for one contract unit",
    "funding_time": "UTC, end of the paid period",
    "hour": "UTC, end of the paid hour",
    "day": "UTC day of the paid hours",
    "as_of": "UTC, end of the window",
    "collected_at": "UTC, first seen",
}
# Columns that a dataset leaves out because the others give them.
DERIVED = {
    "funding_rates": {
        "rate_hourly": "rate / interval_hours",
        "apr": "rate / interval_hours * 8760",
        "direction": "long where rate > 0, short where rate < 0, none at 0",
    }
}


def unit_of(column: str) -> str | None:
    """The unit of a column, where it has one."""
    if column.startswith("rate_hourly_"):
        return _UNITS["rate_hourly"]
    return _UNITS.get(column)
