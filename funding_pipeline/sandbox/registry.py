"""The exchanges the sandbox speaks for, one line each."""

from funding_pipeline.sandbox import binance, bybit, hyperliquid, lighter, paradex, variational
from funding_pipeline.sandbox.wire import Exchange

EXCHANGES: dict[str, Exchange] = {
    exchange.name: exchange
    for exchange in (
        hyperliquid.EXCHANGE,
        bybit.EXCHANGE,
        binance.EXCHANGE,
        lighter.EXCHANGE,
        paradex.EXCHANGE,
        variational.EXCHANGE,
    )
}
