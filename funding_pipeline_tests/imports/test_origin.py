"""The origin's SQLite tables: which rows are settlements, their unit and sign."""

import polars as pl

from funding_pipeline.imports.origin import lighter_rows, unified_rows

HOUR_S = 1_770_116_400


def found(frame: pl.DataFrame, *names: str) -> list[tuple[object, ...]]:
    return frame.select(names).rows()


def test_lighter_has_percent_without_a_sign() -> None:
    """The text stays in percent; who pays gives the sign, also of rows that have it already."""
    rows = [
        ("BTC", HOUR_S, 0.0012, "long"),
        ("BTC", HOUR_S + 3600, 0.0012, "short"),
        ("BTC", HOUR_S + 7200, -0.0012, "short"),
        ("BTC", HOUR_S + 10800, -0.0012, "long"),
        ("BTC", HOUR_S + 14400, 0.0012, "none"),
    ]
    frame, left_out = lighter_rows(rows)
    assert [text for (text,) in found(frame, "rate_text")][:3] == ["0.0012", "-0.0012", "-0.0012"]
    assert found(frame, "problem") == [
        (None,),
        (None,),
        (None,),
        ("direction: long pays, but the rate is negative",),
        ("direction: neither long nor short",),
    ]
    assert found(frame, "exchange", "market", "time_ms")[0] == ("lighter", "BTC", HOUR_S * 1000)
    assert not left_out


def test_unified_holds_settlements_and_running_rates() -> None:
    rows = [
        ("hyperliquid", "BTC", HOUR_S, 0.0000125, "api"),
        ("hyperliquid", "BTC", HOUR_S + 3600, 0.00001, "import"),
        ("hyperliquid", "BTC", HOUR_S + 7200, 0.00001, "tracker_export"),
        ("aster", "BTCUSDT", HOUR_S * 1000, 0.0001, "api"),
        ("lighter", "BTC", HOUR_S, -0.0012, "import"),
        ("lighter", "BTC", HOUR_S, 0.0012, "api"),
        ("extended", "BTC-USD", HOUR_S, 0.00001, "import"),
        ("extended", "BTC-USD", HOUR_S, 0.00001, "api"),
        ("edgex", "BTCUSD", HOUR_S, 0.00005, "import"),
        ("xyz", "xyz:TSLA", HOUR_S + 17, 0.00005, "api"),
        ("paradex", "BTC-USD-PERP", HOUR_S + 17, 0.00005, None),
    ]
    frame, left_out = unified_rows(rows)
    assert found(frame, "exchange", "market", "time_ms", "rate_text") == [
        ("hyperliquid", "BTC", HOUR_S * 1000, "1.25e-05"),
        ("hyperliquid", "BTC", HOUR_S * 1000 + 3_600_000, "1e-05"),
        ("aster", "BTCUSDT", HOUR_S * 1000, "0.0001"),
        ("lighter", "BTC", HOUR_S * 1000, "-0.0012"),
        ("extended", "BTC-USD", HOUR_S * 1000, "1e-05"),
    ]
    assert sum(left_out.values()) == 6
    assert left_out["hyperliquid 'tracker_export': no settlements but running rates"] == 1
    assert left_out["paradex None: no settlements but running rates"] == 1


def test_values_of_any_type() -> None:
    """SQLite gives what was put in, whatever the column was declared as."""
    rows = [
        ("BTC", str(HOUR_S), "0.5", "long"),
        (7, HOUR_S, None, "long"),
        (None, HOUR_S, 0.1, "long"),
        ("BTC", "soon", 0.1, "long"),
        ("BTC", 10**300, 0.1, "long"),
        ("BTC", float("inf"), 0.1, "long"),
        ("BTC", 2**62, 0.1, "long"),
        ("BTC", HOUR_S, b"\xff", "long"),
    ]
    frame, left_out = lighter_rows(rows)
    assert found(frame, "market", "rate_text") == [("BTC", "0.5"), ("7", ""), ("BTC", "")]
    assert sum(left_out.values()) == 5


def test_nothing_at_all() -> None:
    assert len(lighter_rows([])[0]) == 0
    assert len(unified_rows([])[0]) == 0
