"""Canaries on a small world whose every rate is made up: each mistake named, nobody else blamed."""

import math
from datetime import date, datetime, timedelta

import polars as pl
import pytest

from funding_pipeline.transforms.baseline import FACTORS, INTEREST_HOURLY, counts, modes
from funding_pipeline.transforms.canaries import Finding, canaries

ASSETS = [f"A{number:02}" for number in range(24)]
VOUCHED = ("one", "two", "three")  # a third of their rates is the interest
BARE = "bare"
DAYS = 10
ORIGIN = datetime(2025, 3, 1)
MISTAKE = ORIGIN + timedelta(days=7)
LAST = date(2025, 3, 10)
MISTAKES = (100.0, 1 / 100, -1.0, 3.0, 4.0, 8.0, 24.0, 1 / 8)


def rate(exchange: str, asset: int, hour: int) -> float:
    """Assets differ up to eightfold, a third of them is negative; exchanges differ by a fifth."""
    if exchange != BARE and (asset + hour // 8) % 3 == 0:
        return INTEREST_HOURLY
    size = 5e-6 * 2 ** (asset % 4) * (1 + 0.2 * math.sin(hash_of(exchange) + 13 * asset + hour))
    return -size if asset % 3 == 1 else size


def hash_of(exchange: str) -> int:
    return (*VOUCHED, BARE).index(exchange)


def world(*exchanges: str, assets: int = 24, days: int = DAYS) -> pl.DataFrame:
    hours = range(8, 24 * days + 1, 8)
    return pl.DataFrame(
        [
            (exchange, ASSETS[asset], ORIGIN + timedelta(hours=hour), rate(exchange, asset, hour))
            for exchange in exchanges
            for asset in range(assets)
            for hour in hours
        ],
        schema={
            "exchange": pl.String,
            "asset": pl.String,
            "funding_time": pl.Datetime("us"),
            "rate_hourly": pl.Float64,
        },
        orient="row",
    )


def times(
    frame: pl.DataFrame, factor: float, exchange: str, since: datetime = MISTAKE
) -> pl.DataFrame:
    wrong = (pl.col("exchange") == exchange) & (pl.col("funding_time") > since)
    return frame.with_columns(
        pl.when(wrong).then(pl.col("rate_hourly") * factor).otherwise("rate_hourly")
    )


def blamed(frame: pl.DataFrame, day: date = LAST) -> dict[str, str]:
    return {found.exchange: found.mistake for found in canaries(frame, [day])}


ALL = world(*VOUCHED, BARE)


def test_right_rates_are_right() -> None:
    for day in range(DAYS):
        assert blamed(ALL, ORIGIN.date() + timedelta(days=day)) == {}


@pytest.mark.parametrize("factor", MISTAKES)
@pytest.mark.parametrize("exchange", VOUCHED)
def test_the_baseline_names_every_mistake_in_one_run(exchange: str, factor: float) -> None:
    first = times(ALL, factor, exchange).filter(
        pl.col("funding_time") <= MISTAKE + timedelta(hours=8)
    )
    (found,) = canaries(first, [MISTAKE.date()])
    assert found.exchange == exchange
    assert FACTORS[factor] in found.mistake
    assert (found.since, found.until) == (MISTAKE, MISTAKE + timedelta(days=1))
    assert "8 rates, 33%" in found.detail


def test_a_factor_of_a_hundred_needs_no_baseline_and_one_run() -> None:
    for factor in (100.0, 1 / 100):
        first = times(ALL, factor, BARE).filter(
            pl.col("funding_time") <= MISTAKE + timedelta(hours=8)
        )
        (found,) = canaries(first, [MISTAKE.date()])
        assert (found.exchange, FACTORS[factor] in found.mistake) == (BARE, True)
        assert "the median of 3 others, over 24 assets" in found.detail


@pytest.mark.parametrize(("factor", "after"), [(8.0, 4), (1 / 8, 4), (-1.0, 4)])
def test_without_a_baseline_scale_and_sign_take_most_of_a_week(factor: float, after: int) -> None:
    frame = times(world(*VOUCHED, BARE, days=14), factor, BARE)
    seen = [
        day
        for day in range(1, 8)
        if (
            found := blamed(
                frame.filter(pl.col("funding_time") <= MISTAKE + timedelta(days=day)),
                MISTAKE.date() + timedelta(days=day - 1),
            )
        )
        and (set(found), FACTORS[factor] in found[BARE]) == ({BARE}, True)
    ]
    assert seen == list(range(after, 8))


def test_one_market_may_do_anything() -> None:
    wild = pl.col("asset") == ASSETS[5]
    assert (
        blamed(
            ALL.with_columns(
                pl.when(wild, pl.col("exchange") == "one")
                .then(pl.col("rate_hourly") * -1000)
                .otherwise("rate_hourly")
            )
        )
        == {}
    )


def test_all_may_crash_together() -> None:
    crash = ALL.with_columns(pl.col("rate_hourly") * -40)
    other = pl.col("rate_hourly").abs() != INTEREST_HOURLY * 40
    assert blamed(crash.filter(other)) == {}


def test_half_the_interest_is_no_mistake() -> None:
    """As markets with a multiplier have it."""
    assert blamed(times(ALL, 0.5, "one", ORIGIN)) == {}


@pytest.mark.parametrize("factor", [100.0, -1.0, 8.0])
def test_two_that_disagree_are_judged_by_their_baselines(factor: float) -> None:
    pair = world("one", "two")
    assert set(blamed(times(pair, factor, "one"))) == {"one"}
    with_bare = world("one", BARE)
    assert set(blamed(times(with_bare, factor, BARE, ORIGIN))) == {BARE}


def test_without_any_baseline_both_of_two_are_held() -> None:
    bare = world(BARE)
    twin = times(bare, 100.0, BARE, ORIGIN).with_columns(exchange=pl.lit("twin"))
    found = blamed(pl.concat([bare, twin]))
    assert FACTORS[100.0] in found["twin"] and FACTORS[1 / 100] in found[BARE]


def test_of_three_without_baselines_the_odd_one_is_held() -> None:
    """Though it spoils the median of the other two for each of them."""
    bare = world(BARE)
    others = [bare.with_columns(exchange=pl.lit(name)) for name in ("second", "third")]
    odd = times(bare, 100.0, BARE, ORIGIN)
    assert set(blamed(pl.concat([odd, *others]))) == {BARE}


def test_too_few_assets_tell_nothing() -> None:
    few = times(world(*VOUCHED, BARE, assets=3), 1000.0, BARE, ORIGIN)
    assert blamed(few) == {}


def test_rates_of_unknown_assets_are_compared_with_nothing() -> None:
    unknown = times(ALL, 100.0, BARE, ORIGIN).with_columns(
        asset=pl.when(pl.col("exchange") == BARE).then(None).otherwise("asset")
    )
    assert blamed(unknown) == {}


def test_what_was_released_is_not_found_again_but_what_comes_after_is() -> None:
    frame = times(ALL, 100.0, "one")
    (found,) = canaries(frame, [LAST])
    released = [found]
    assert canaries(frame, [LAST], released) == []
    assert canaries(times(ALL, 8.0, "one"), [LAST], released) == []  # the scale was looked at
    (mirrored,) = canaries(times(ALL, -1.0, "one"), [LAST], released)
    assert mirrored.mistake == FACTORS[-1.0]
    other = [Finding("two", found.mistake, "", found.since, found.until)]
    assert canaries(frame, [LAST], other) == [found]
    until_noon = [Finding("one", found.mistake, "", found.since, datetime(2025, 3, 10, 12))]
    (again,) = canaries(frame, [LAST], until_noon)
    assert (again.since, again.until) == (datetime(2025, 3, 10, 16), datetime(2025, 3, 11))


def test_nothing_to_judge() -> None:
    assert canaries(ALL.clear(), [LAST]) == []
    assert canaries(ALL.with_columns(rate_hourly=pl.lit(float("nan"))), [LAST]) == []


def test_the_mode_by_hand() -> None:
    rates = pl.DataFrame({"rate_hourly": [1.2e-5] * 6 + [1e-6 * n for n in range(20, 34)]})
    (row,) = modes(
        counts(rates.with_columns(exchange=pl.lit("x")), ["exchange"]), ["exchange"]
    ).rows(named=True)
    assert row == {
        "exchange": "x",
        "rate_hourly": 1.2e-5,
        "rows": 6,
        "share": 0.3,
        "factor": 1.0,
        "telling": True,
    }
