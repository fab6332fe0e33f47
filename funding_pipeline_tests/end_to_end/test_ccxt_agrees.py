"""ccxt, which knows nothing of this project, reads the same sandbox and sees the same rates."""

from typing import Any

import duckdb
import pytest

from funding_pipeline_tests.end_to_end.conftest import Month
from funding_pipeline_tests.sandbox.test_sandbox_ccxt import client

pytestmark = pytest.mark.slow

MARKETS = {
    "hyperliquid": ["BTC/USDC:USDC", "KPEPE/USDC:USDC", "SOL/USDC:USDC"],
    "bybit": ["BTC/USDT:USDT", "1000PEPE/USDT:USDT", "KAITO/USDT:USDT", "SUI/USDT:USDT"],
}
CASES = [(exchange, symbol) for exchange, symbols in MARKETS.items() for symbol in symbols]


@pytest.fixture(scope="module")
def clients(recorded_url: str) -> dict[str, Any]:
    options: dict[str, dict[str, Any]] = {"hyperliquid": {}, "bybit": {"fetchMarkets": ["linear"]}}
    made = {name: client(name, recorded_url, **more) for name, more in options.items()}
    for one in made.values():
        one.load_markets()
    return made


@pytest.mark.parametrize(("exchange", "symbol"), CASES)
def test_ccxt_reads_what_funding_rates_holds(
    may_2025: Month, clients: dict[str, Any], exchange: str, symbol: str
) -> None:
    ccxt = clients[exchange]
    found = ccxt.market(symbol)
    native = found["baseName"] if exchange == "hyperliquid" else found["id"]
    with duckdb.connect(str(may_2025.settings.read_path), read_only=True) as connection:
        stored = connection.execute(
            """SELECT epoch_ms(funding_time) + lag_ms, rate FROM funding_rates
            WHERE exchange = ? AND market = ? ORDER BY funding_time""",
            [exchange, native],
        ).fetchall()
    page = {"hyperliquid": 500, "bybit": 200}[exchange]
    # ccxt asks bybit for `page` intervals, both ends included: on the grid that is a row too many.
    since, read = may_2025.window.start_ms - 1, []
    while since < may_2025.window.end_ms:
        rows = ccxt.fetch_funding_rate_history(symbol, since, page)
        read += [(row["timestamp"], row["fundingRate"]) for row in rows]
        if not rows:
            break
        since = read[-1][0] + 1
    assert len(stored) >= 40
    assert [row for row in read if row[0] < may_2025.window.end_ms] == stored
