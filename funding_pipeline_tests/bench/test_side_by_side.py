"""Exchanges side by side on the simulated clock, few enough for every run."""

from funding_pipeline_tests.bench.side_by_side import seconds


def test_no_exchange_waits_for_another_one() -> None:
    together = seconds(["hyperliquid", "orderly", "okx"], days=5, markets=50)
    alone = {name: seconds([name], days=5, markets=50)[name] for name in together}
    assert max(alone.values()) > 30, "as long as the limits let it take"
    assert max(together.values()) <= 1.1 * max(alone.values())
