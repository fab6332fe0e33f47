"""Ethereal: documented products, cursors, what is asked for, the cap that tells the unit."""

from pathlib import Path

import pytest

from funding_pipeline.domain.errors import MalformedResponseError
from funding_pipeline.domain.intervals import FixedInterval
from funding_pipeline.domain.rates import apr, fraction
from funding_pipeline.domain.records import Market, Window
from funding_pipeline.exchanges.ethereal import SPEC, Ethereal, parse_history, parse_markets
from funding_pipeline_tests.exchanges.spoken import drive, recorded

HOUR = 3_600_000
START = 1_760_760_000_001  # the documented stamp of a charge
BTC = "bc7d5575-3711-4532-a000-312bfacfb767"


def test_documented_products(responses_dir: Path) -> None:
    markets, cursor = parse_markets(_documented(responses_dir))
    assert cursor is None
    assert [(m.market, m.api_id, m.symbol, m.quote, m.live) for m in markets] == [
        ("BTCUSD", BTC, "BTC", "USD", True),
        ("ETHUSD", "480014cc-536e-4fd4-958b-b2afcf8ce09f", "ETH", "USD", True),
    ]
    assert markets[0].listed_at_ms == 1_760_542_037_979
    assert markets[0].rate_cap is None, "the sample is older than the field"


def test_the_documented_rate_is_the_cap_of_200_percent_a_year() -> None:
    """As percent per hour it would be 2 % a year, as a fraction per 8 h 25 %."""
    (row,), _ = parse_history(_page(f'{{"createdAt":{START},"fundingRate1h":"0.00022831"}}'), "B")
    assert (row.market, row.time_ms, row.rate_text) == ("B", START, "0.00022831")
    rate = fraction(row.rate_text, SPEC.rate_unit)
    assert isinstance(SPEC.interval, FixedInterval)
    assert apr(rate, SPEC.interval.at(START)) == pytest.approx(2.0, rel=1e-5)
    (market,), _ = parse_markets(_page(_product('"fundingMaxApr":"2"')))
    assert market.rate_cap == pytest.approx(rate, rel=1e-5)
    assert market.rate_floor == pytest.approx(-rate, rel=1e-5)


def test_a_product_that_is_not_active_is_kept_and_spot_is_not() -> None:
    markets, _ = parse_markets(_page(_product('"status":"CLOSED"')))
    assert [m.live for m in markets] == [False]
    assert parse_markets(_page(_product("", engine=1))) == ([], None)


def test_history_is_asked_newest_first_by_the_products_id(responses_dir: Path) -> None:
    """A window of the last hours costs one request, though a month lies behind the cursor."""
    market = parse_markets(_documented(responses_dir))[0][0]
    rows = [f'{{"createdAt":{START - i * HOUR},"fundingRate1h":"0"}}' for i in range(3)]
    body = _page(",".join(rows), '"hasNext":true,"nextCursor":"older"')
    window = Window(START - 2 * HOUR, START + 1)
    found, requests = drive(Ethereal().history(market, window), lambda _: body)
    assert [row.time_ms for row in found] == [START - i * HOUR for i in range(3)]
    assert [(r.path, dict(r.params)) for r in requests] == [
        (
            "/v1/funding",
            {
                "productId": BTC,
                "range": "MONTH",
                "order": "desc",
                "orderBy": "createdAt",
                "limit": 100,
            },
        )
    ]


def test_the_cursor_is_followed_to_the_window() -> None:
    pages = {
        "": _page(
            f'{{"createdAt":{START},"fundingRate1h":"1"}}', '"hasNext":true,"nextCursor":"b"'
        ),
        "b": _page(f'{{"createdAt":{START - HOUR},"fundingRate1h":"2"}}'),
    }
    market = Market(market="B", api_id=BTC, symbol="B", quote="USD", settle="USDe")
    found, requests = drive(
        Ethereal().history(market, Window(START - 9 * HOUR, START)),
        lambda request: pages[str(request.params.get("cursor", ""))],
    )
    assert [row.rate_text for row in found] == ["2"], "the window ends before the newest"
    assert len(requests) == 2


def test_a_next_page_without_cursor_and_a_cursor_in_circles_are_errors() -> None:
    with pytest.raises(MalformedResponseError, match=r"\$\.nextCursor"):
        parse_history(_page("", '"hasNext":true'), "B")
    endless = _page(_product(""), '"hasNext":true,"nextCursor":"x"')
    with pytest.raises(MalformedResponseError, match="the cursor 'x' came before"):
        drive(Ethereal().markets(), lambda _: endless, at_most=5)


def test_it_is_experimental_and_samples_nothing() -> None:
    assert SPEC.experimental is not None
    assert not SPEC.samples_estimates
    with pytest.raises(NotImplementedError):
        next(Ethereal().estimates())


def _documented(responses_dir: Path) -> bytes:
    """The sample is an excerpt that ends before the page's last field."""
    return recorded(responses_dir, "ethereal/doc_v1_product")[:-1] + b',"hasNext":false}'


def _product(more: str, engine: int = 0) -> str:
    row = f'"id":"{BTC}","ticker":"BTCUSD","engineType":{engine}'
    names = '"baseTokenName":"BTC","quoteTokenName":"USD"'
    return f"{{{row},{names}{',' if more else ''}{more}}}"


def _page(rows: str, end: str = '"hasNext":false') -> bytes:
    return f'{{"data":[{rows}],{end}}}'.encode()
