"""ccxt and an exchange module, both in front of the same sandbox, must tell the same history.

Belongs here: pointing ccxt at a sandbox and the comparison. Does not: which exchanges and symbols
(the exchanges' own tests), exceptions (they are named there).
"""

from collections.abc import Sequence
from typing import Any

import ccxt
import httpx

from funding_pipeline.domain.rates import fraction
from funding_pipeline.domain.records import Window
from funding_pipeline.exchanges.registry import EXCHANGES
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import DAY_MS, HOUR_MS
from funding_pipeline.sandbox.registry import EXCHANGES as SANDBOX
from funding_pipeline.sandbox.server import running_sandbox
from funding_pipeline_tests.exchanges.spoken import drive

NOW_MS = 1_789_907_400_000  # 2026-09-20 12:30, later than every recorded response


def pointed_at(ccxt_id: str, name: str, url: str, **options: Any) -> Any:
    """A ccxt client whose every host is the sandbox's folder of that exchange."""
    client = getattr(ccxt, ccxt_id)({"enableRateLimit": False, "options": options})
    client.has["fetchCurrencies"] = False
    client.urls["api"] = _redirected(client.urls["api"], f"{url}/{name}", client)
    return client


def _redirected(address: Any, base: str, client: Any) -> Any:
    if isinstance(address, dict):
        return {key: _redirected(value, base, client) for key, value in address.items()}
    found = httpx.URL(address.replace("{hostname}", client.hostname or "host"))
    return f"{base}{found.path}".rstrip("/") if found.path != "/" else base


def histories(
    name: str,
    ccxt_id: str,
    symbols: Sequence[str],
    *,
    days: int = 3,
    limit: int | None = 100,
    markets: int = 40,
    params: dict[str, Any] | None = None,
    **options: Any,
) -> list[tuple[str, dict[int, float], dict[int, float]]]:
    """For each ccxt symbol (native id, what ccxt tells, what the module tells): the settled rate as
    the text's own fraction, by whole hour, over the last `days`.
    """
    exchange = EXCHANGES[name]
    spec = exchange.spec
    window = Window(NOW_MS - days * DAY_MS, NOW_MS)
    found = []
    dataset = generate([SANDBOX[name]], markets=markets)
    with (
        running_sandbox(dataset, now=lambda: NOW_MS) as url,
        httpx.Client(timeout=30) as http,
    ):

        def send(request: Any) -> bytes:
            origin = f"/{request.origin}" if request.origin else ""
            response = http.request(
                request.method,
                f"{url}/{name}{origin}{request.path}",
                params=dict(request.params) or None,
                json=request.body,
            )
            response.raise_for_status()
            return response.content

        client = pointed_at(ccxt_id, name, url, **options)
        client.load_markets()
        listed = {m.market: m for m in drive(exchange.markets(), send)[0]}
        for symbol in symbols:
            native = client.market(symbol)["id"]
            told = client.fetch_funding_rate_history(symbol, window.start_ms, limit, params or {})
            theirs = {
                row["timestamp"] // HOUR_MS * HOUR_MS: row["fundingRate"]
                for row in told
                if row["timestamp"] >= window.start_ms
            }
            market = listed.get(native) or next(m for m in listed.values() if m.api_id == native)
            raw, _ = drive(exchange.history(market, window), send)
            ours = {
                row.time_ms // HOUR_MS * HOUR_MS: fraction(
                    row.rate_text, spec.rate_unit, row.interval_hours
                )
                for row in raw
            }
            found.append((native, theirs, ours))
    return found


def assert_agreement(name: str, ccxt_id: str, symbols: Sequence[str], **more: Any) -> None:
    """Row by row the same, and there are rows."""
    for native, theirs, ours in histories(name, ccxt_id, symbols, **more):
        assert len(ours) >= 3, native
        assert theirs == ours, native
