"""The public futures API of Binance, as the sandbox speaks it for all that have it.

Facts this module rests on: rates are fractions per the symbol's interval; history is ascending,
both ends included, 100 rows unless asked for up to 1000, the oldest first when the window holds
more. Without a symbol it holds every symbol's rows by time, and a page may end inside a group of
equal stamps. Who goes on after 429 is banned with 418.

Belongs here: endpoints, parameters, errors. Does not belong here: rows (`binance_like_rows`,
`binance_like_contracts`), paths, limits and markets of one exchange.
"""

from collections.abc import Callable, Sequence
from datetime import date
from math import ceil
from typing import Any

from funding_pipeline.sandbox.exchanges import binance_like_contracts, binance_like_rows
from funding_pipeline.sandbox.limits import Limit, Refusal
from funding_pipeline.sandbox.market import Listing, SandboxMarket
from funding_pipeline.sandbox.settlements import newest, oldest
from funding_pipeline.sandbox.wire import Call, Exchange, Moment, Reply, Request, parameter

PAGE_ROWS = 1000
_DEFAULT_ROWS = 100
# What comes without symbol, times and limit, as documented.
_RECENT_ROWS = 200


class BinanceLike:
    """One exchange with this API; what an exchange writes otherwise, its own class overrides."""

    name: str
    path: str

    def __init__(self) -> None:
        self._endpoints: dict[str, Callable[[Call, Moment], Reply]] = {
            "ping": lambda _, __: Reply({}),
            "time": lambda _, moment: Reply({"serverTime": moment.now_ms}),
            "exchangeInfo": self._exchange_info,
            "fundingInfo": self._funding_info,
            "fundingRate": self._funding_rate,
            "premiumIndex": self._premium_index,
            "ticker/24hr": self._ticker,
            "openInterest": self._open_interest,
        }

    def exchange(
        self,
        listings: Callable[[], list[Listing]],
        split_symbol: Callable[[str], tuple[str, str]],
        limits: Sequence[Limit],
        recorded_files: tuple[str, ...] = (),
    ) -> Exchange:
        """What the sandbox is told of it."""
        return Exchange(
            name=self.name,
            limits=tuple(limits),
            recorded_files=recorded_files,
            split_symbol=split_symbol,
            listings=listings,
            read=self.read,
            answer=self.answer,
            refuse=refuse,
            usage=usage,
        )

    # --- rows, as Binance USD-M writes them

    def dated(self, moment: Moment) -> dict[str, tuple[str, date]]:
        """Contracts that end: type and delivery day of each."""
        return binance_like_contracts.quarterly_symbols(self.name, moment, "USDT")

    def exchange_info(self, moment: Moment) -> dict[str, Any]:
        """The whole answer: limits, collateral, every contract."""
        return binance_like_contracts.exchange_info(self.name, moment, self.dated(moment))

    history_row = staticmethod(binance_like_rows.history_row)
    funding_info_row = staticmethod(binance_like_rows.funding_info_row)
    premium_row = staticmethod(binance_like_rows.premium_row)
    dated_premium_row = staticmethod(binance_like_rows.dated_premium_row)
    ticker_row = staticmethod(binance_like_rows.ticker_row)
    open_interest_row = staticmethod(binance_like_rows.open_interest_row)

    # --- requests

    def read(self, request: Request) -> Call:
        """Which endpoint is asked for, and about which symbol."""
        endpoint = request.path.removeprefix(f"{self.path}/")
        if request.method != "GET" or endpoint not in self._endpoints:
            return Call("unknown path", None, {"path": request.path, "method": request.method})
        return Call(endpoint, request.query.get("symbol") or None, request.query)

    def answer(self, call: Call, moment: Moment) -> Reply:
        """The answer of the endpoint, or the error that the exchange gives."""
        if call.endpoint == "unknown path":
            path, method = call.params["path"], call.params["method"]
            return _error(-5000, f"Path {path}, Method {method} is invalid", status=404)
        return self._endpoints[call.endpoint](call, moment)

    def _markets(self, call: Call, moment: Moment) -> list[SandboxMarket] | None:
        """The perpetuals asked for, none for a dated one; None when the symbol does not exist."""
        if call.market is None:
            return moment.dataset.known(self.name, moment.now_ms)
        market = moment.dataset.market(self.name, call.market, moment.now_ms)
        if market is not None:
            return [market]
        return [] if call.market in self.dated(moment) else None

    def _funding_rate(self, call: Call, moment: Moment) -> Reply:
        try:
            start, end = parameter(call.params, "startTime"), parameter(call.params, "endTime")
            limit = parameter(call.params, "limit")
        except ValueError:
            return _error(-1102, "Parameter 'startTime', 'endTime' or 'limit' was malformed.")
        if limit is not None and not 1 <= limit <= PAGE_ROWS:
            return _error(-1130, "Data sent for parameter 'limit' is not valid.")
        if start is not None and end is not None and start > end:
            return _error(-1130, "Data sent for parameter 'startTime' is not valid.")
        markets = self._markets(call, moment)
        if markets is None:
            return _invalid_symbol()
        if limit is None:
            limit = _RECENT_ROWS if start is None and end is None else _DEFAULT_ROWS
        limit = moment.page_limit(limit)
        end_ms = moment.now_ms if end is None else end
        found = (
            newest(markets, end_ms, moment.now_ms, limit)
            if start is None
            else oldest(markets, start, end_ms, moment.now_ms, limit)
        )
        rows = [self.history_row(market, index) for _, _, index, market in found]
        return Reply(rows, rows=rows, rate_field="fundingRate", time_field="fundingTime")

    def _premium_index(self, call: Call, moment: Moment) -> Reply:
        markets = self._markets(call, moment)
        if markets is None:
            return _invalid_symbol()
        rows = [self.premium_row(market, moment.now_ms) for market in markets]
        rows += [self.dated_premium_row(s, moment.now_ms) for s in self._dated(call, moment)]
        weight = 1 if call.market else 10
        reply = Reply(rows, rows=rows, rate_field="lastFundingRate", weight=weight)
        if call.market:
            reply.payload = rows[0]
        return reply

    def _ticker(self, call: Call, moment: Moment) -> Reply:
        markets = self._markets(call, moment)
        if markets is None:
            return _invalid_symbol()
        rows = [self.ticker_row(market.symbol, market.base, moment.now_ms) for market in markets]
        rows += [
            self.ticker_row(symbol, binance_like_contracts.base_of(symbol), moment.now_ms)
            for symbol in self._dated(call, moment)
        ]
        weight = 1 if call.market else 40
        return Reply(rows[0] if call.market else rows, rows=rows, weight=weight)

    def _dated(self, call: Call, moment: Moment) -> list[str]:
        return [s for s in self.dated(moment) if call.market in (None, s)]

    def _open_interest(self, call: Call, moment: Moment) -> Reply:
        if call.market is None:
            return missing_symbol()
        market = moment.dataset.market(self.name, call.market, moment.now_ms)
        if market is None:
            return _invalid_symbol()
        if market.is_delisted(moment.now_ms):
            return _error(-4108, "Symbol is on delivering or delivered or settling or closed.")
        return Reply(self.open_interest_row(market, moment.now_ms))

    def _funding_info(self, _: Call, moment: Moment) -> Reply:
        markets = moment.dataset.listed(self.name, moment.now_ms)
        rows = [self.funding_info_row(market, moment.now_ms) for market in markets]
        return Reply(rows, rows=rows)

    def _exchange_info(self, _: Call, moment: Moment) -> Reply:
        payload = self.exchange_info(moment)
        return Reply(payload, rows=payload["symbols"])


def minute_limit() -> Limit:
    """2400 weight a minute for everything."""
    return Limit(weight=2400, window_s=60, ban_after=10, ban_s=120)


def refuse(refusal: Refusal) -> Reply:
    """429 with the seconds to wait; 418 for who did not heed it."""
    headers = {"Retry-After": str(max(1, ceil(refusal.wait_s)))}
    if refusal.banned:
        text = f"Way too many requests; IP banned for {headers['Retry-After']} s."
        return Reply({"code": -1003, "msg": text}, status=418, headers=headers)
    limit = refusal.limit
    text = f"Too many requests; current limit is {limit.weight} per {limit.window_s:.0f} s."
    return Reply({"code": -1003, "msg": text}, status=429, headers=headers)


def missing_symbol() -> Reply:
    """For endpoints that answer about one symbol only."""
    return _error(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null.")


def usage(used: Sequence[int]) -> dict[str, str]:
    """The weight of the last minute."""
    return {"X-MBX-USED-WEIGHT-1M": str(used[0])}


def _error(code: int, text: str, status: int = 400) -> Reply:
    return Reply({"code": code, "msg": text}, status=status)


def _invalid_symbol() -> Reply:
    return _error(-1121, "Invalid symbol.")
