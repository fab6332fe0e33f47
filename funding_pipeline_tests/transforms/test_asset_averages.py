"""Averages across exchanges: by hand, with weights that are missing, against the definition."""

import math
from collections import defaultdict
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funding_pipeline.transforms.asset_averages import ASSET_AVERAGES, MEMBERS, asset_averages

from .hour_by_hour import at, close

Member = tuple[str, int, float | None, float | None, float | None]


def averages(*members: Member, asset: str = "BTC", measured_at: float = 24) -> pl.DataFrame:
    """From (exchange, market_id, rate, open interest, volume) at one point."""
    rows = [
        (asset, "7d", at(24), exchange, market, at(measured_at), rate, oi, volume)
        for exchange, market, rate, oi, volume in members
    ]
    return asset_averages(pl.DataFrame(rows, schema=MEMBERS, orient="row"))


def only(*members: Member) -> dict[str, Any]:
    return averages(*members).row(0, named=True)


def test_three_markets_on_two_exchanges_by_hand() -> None:
    """Open interest 1 : 3 : 0 and volume 2 : 1 : 1 million."""
    found = only(
        ("binance", 1, 0.00001, 1e6, 2e6),
        ("binance", 2, 0.00002, 3e6, 1e6),
        ("bybit", 3, -0.00003, 0.0, 1e6),
    )
    assert (found["asset"], found["window"], found["as_of"]) == ("BTC", "7d", at(24))
    assert (found["exchanges"], found["markets"]) == (2, 3)
    assert found["rate_hourly_mean"] == pytest.approx(0.0, abs=1e-20)
    assert found["rate_hourly_oi_mean"] == pytest.approx(0.0000175, rel=1e-12)
    assert found["rate_hourly_volume_mean"] == pytest.approx(0.0000025, rel=1e-12)
    assert (found["rate_hourly_min"], found["min_market_id"]) == (-0.00003, 3)
    assert (found["rate_hourly_max"], found["max_market_id"]) == (0.00002, 2)
    assert (found["open_interest_usd"], found["markets_with_oi"]) == (4e6, 3)
    assert (found["volume_24h_usd"], found["markets_with_volume"]) == (4e6, 3)


@pytest.mark.parametrize("unknown", [None, float("nan"), float("inf"), -1.0])
def test_a_market_without_a_weight_counts_in_the_plain_mean_only(unknown: float | None) -> None:
    found = only(("a", 1, 1e-5, 2e6, unknown), ("b", 2, 3e-5, unknown, unknown))
    assert found["rate_hourly_mean"] == pytest.approx(2e-5, rel=1e-12)
    assert found["rate_hourly_oi_mean"] == 1e-5
    assert (found["open_interest_usd"], found["markets_with_oi"], found["markets"]) == (2e6, 1, 2)
    assert (found["rate_hourly_volume_mean"], found["volume_24h_usd"]) == (None, None)
    assert found["markets_with_volume"] == 0


def test_weights_that_are_all_zero_give_no_mean() -> None:
    found = only(("a", 1, 1e-5, 0.0, 5.0))
    assert (found["rate_hourly_oi_mean"], found["open_interest_usd"]) == (None, 0.0)
    assert found["markets_with_oi"] == 1
    assert found["rate_hourly_volume_mean"] == 1e-5


def test_a_market_without_a_rate_takes_no_part() -> None:
    found = only(("a", 1, 1e-5, 1e6, 1e6), ("b", 2, None, 9e9, 9e9))
    assert (found["exchanges"], found["markets"], found["open_interest_usd"]) == (1, 1, 1e6)
    assert averages(("b", 2, None, 9e9, 9e9)).is_empty()


def test_of_equal_rates_the_first_exchange_is_named() -> None:
    found = only(("okx", 1, 1e-5, None, None), ("aster", 9, 1e-5, None, None))
    assert (found["min_market_id"], found["max_market_id"]) == (9, 9)
    assert found["rate_hourly_mean"] == 1e-5


def test_assets_windows_and_points_do_not_mix() -> None:
    rows = [
        (asset, window, at(hour), "a", 1, at(hour - 3), 1e-5 * hour, 1.0, 1.0)
        for asset in ("BTC", "ETH")
        for window in ("24h", "7d")
        for hour in (24, 48)
    ]
    found = asset_averages(pl.DataFrame(rows, schema=MEMBERS, orient="row").reverse())
    assert found.height == 8
    assert found["rate_hourly_mean"].to_list() == found["rate_hourly_max"].to_list()
    assert found["oldest_as_of"].to_list() == [at(21)] * 4 + [at(45)] * 4


def test_the_oldest_input_is_told() -> None:
    assert averages(("a", 1, 1e-5, None, None), measured_at=20)["oldest_as_of"].item() == at(20)


def test_a_market_that_stands_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        averages(("a", 1, 1e-5, None, None), ("a", 1, 2e-5, None, None))


def test_nothing_gives_an_empty_frame_of_the_schema() -> None:
    assert averages().is_empty()
    assert averages().schema == pl.Schema(ASSET_AVERAGES)
    with pytest.raises(pl.exceptions.SchemaError):
        asset_averages(pl.DataFrame({"asset": ["BTC"]}))


RATES = st.none() | st.sampled_from([0.0, 1e-5, -1e-5, 0.04, -0.04]) | st.floats(-0.05, 0.05)
WEIGHTS = st.none() | st.just(0.0) | st.floats(0.01, 1e11)


@settings(max_examples=150, deadline=None)
@given(
    members=st.dictionaries(
        st.tuples(st.sampled_from("XY"), st.integers(1, 9)),
        st.tuples(
            st.sampled_from(["a", "b", "c"]), RATES.map(lambda r: r and round(r, 15)), WEIGHTS
        ),
        max_size=14,
    ),
    order=st.randoms(use_true_random=False),
)
def test_equals_the_definition_in_any_order(members: dict[Any, Any], order: Any) -> None:
    rows = [
        (asset, "24h", at(24), exchange, market, at(24), rate, weight, weight)
        for (asset, market), (exchange, rate, weight) in members.items()
    ]
    found = asset_averages(pl.DataFrame(rows, schema=MEMBERS, orient="row"))
    order.shuffle(rows)
    assert asset_averages(pl.DataFrame(rows, schema=MEMBERS, orient="row")).equals(found)
    groups = defaultdict(list)
    for (asset, market), (exchange, rate, weight) in members.items():
        if rate is not None:
            groups[asset].append((rate, exchange, market, weight))
    assert found["asset"].to_list() == sorted(groups)
    for row in found.iter_rows(named=True):
        check_asset(row, groups[row["asset"]])


def check_asset(actual: dict[str, Any], group: list[tuple[float, str, int, float | None]]) -> None:
    rates = [rate for rate, *_ in group]
    assert actual["markets"] == len(group)
    assert actual["exchanges"] == len({exchange for _, exchange, *_ in group})
    assert close(actual["rate_hourly_mean"], sum(map(Fraction, rates), Fraction(0)) / len(rates))
    assert (actual["rate_hourly_min"], actual["rate_hourly_max"]) == (min(rates), max(rates))
    for end in ("min", "max"):
        named = [(e, m) for r, e, m, _ in group if r == actual[f"rate_hourly_{end}"]]
        assert actual[f"{end}_market_id"] == min(named)[1]
    known = [(Fraction(rate), Fraction(w)) for rate, _, _, w in group if w is not None]
    total = sum(w for _, w in known)
    assert actual["markets_with_oi"] == len(known)
    if not known:
        assert actual["open_interest_usd"] is None
    else:
        assert math.isclose(actual["open_interest_usd"], total, rel_tol=1e-12, abs_tol=1e-5)
    if not total:
        assert actual["rate_hourly_oi_mean"] is None
    else:
        exact = float(sum(rate * w for rate, w in known) / total)
        blur = 1e-15 * max(abs(rate) for rate, _ in known)
        # Dollars are summed in millionths: of cents little is left.
        close_enough = 1e-12 + len(known) * 1e-6 / float(total)
        assert math.isclose(
            actual["rate_hourly_oi_mean"], exact, rel_tol=close_enough, abs_tol=float(blur)
        )
