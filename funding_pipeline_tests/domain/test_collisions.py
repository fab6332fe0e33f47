"""Collisions: what belongs together by price and class, and keys that stay what they are."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.collisions import (
    AMBIGUOUS_FACTOR,
    FACTOR,
    Parting,
    Quote,
    Verdict,
    groups,
    settle,
)


def quote(
    number: int, price: float | None = None, declared: str | None = None, **more: Any
) -> Quote:
    return Quote(market_id=number, unit_price=price, asset_class=declared, **more)


def ids(found: Sequence[Sequence[Quote]]) -> set[frozenset[int]]:
    return {frozenset(q.market_id for q in group) for group in found}


def keys(symbol: str, quotes: Sequence[Quote], **more: Any) -> dict[int, str | None]:
    return {v.market_id: v.asset for v in settle(symbol, quotes, **more)[0]}


def carried(quotes: Sequence[Quote], verdicts: Sequence[Verdict]) -> list[Quote]:
    """The markets with the keys they were given, for the next round."""
    given_keys = {v.market_id: v for v in verdicts}
    return [
        quote(
            q.market_id,
            q.unit_price,
            q.asset_class,
            asset=given_keys[q.market_id].asset,
            by=given_keys[q.market_id].by,
        )
        for q in quotes
    ]


# --- grouping


def test_prices_close_together_are_one_group() -> None:
    assert ids(groups([quote(1, 100.0), quote(2, 101.5), quote(3, 99.0)])) == {frozenset({1, 2, 3})}


def test_the_boundary_is_the_factor_itself() -> None:
    assert len(groups([quote(1, 1.0), quote(2, 2.0)])) == 1
    assert len(groups([quote(1, 1.0), quote(2, 2.0000001)])) == 2


def test_the_widest_gap_parts() -> None:
    """An odd low price takes nobody along who is nearer to the others."""
    prices = [0.6, 1.0, 1.0, 1.0, 1.25]
    found = groups([quote(i, price) for i, price in enumerate(prices)])
    assert ids(found) == {frozenset({0}), frozenset({1, 2, 3, 4})}


def test_classes_part_equal_prices_and_leave_the_undeclared_alone() -> None:
    found = groups([quote(1, 90.0, "equity"), quote(2, 90.0, "commodity"), quote(3, 90.0)])
    assert ids(found) == {frozenset({1}), frozenset({2}), frozenset({3})}


def test_the_undeclared_belong_to_the_one_class_at_their_price() -> None:
    found = groups([quote(1, 90.0, "equity"), quote(2, 91.0), quote(3, 0.1, "crypto")])
    assert ids(found) == {frozenset({1, 2}), frozenset({3})}


@pytest.mark.parametrize("pair", [("equity", "index"), ("fx", "commodity")])
def test_some_classes_are_two_words_for_one(pair: tuple[str, str]) -> None:
    assert len(groups([quote(1, 90.0, pair[0]), quote(2, 90.0, pair[1])])) == 1


def test_markets_without_a_price_are_in_no_group() -> None:
    assert groups([quote(1), quote(2, None, "crypto")]) == []


PRICES = st.one_of(st.floats(1e-9, 1e9), st.sampled_from([1.0, 1.9, 2.0, 2.1, 3.9, 4.0]))
CLASSES = st.sampled_from([None, None, "crypto", "equity", "index", "fx", "commodity"])
QUOTES = st.lists(st.tuples(PRICES, CLASSES), min_size=1, max_size=12).map(
    lambda rows: [quote(i, price, declared) for i, (price, declared) in enumerate(rows)]
)


@given(QUOTES, st.randoms(use_true_random=False))
def test_grouping_does_not_depend_on_order(quotes: list[Quote], chance: random.Random) -> None:
    mixed = quotes[:]
    chance.shuffle(mixed)
    assert ids(groups(mixed)) == ids(groups(quotes))


@given(QUOTES, st.sampled_from([FACTOR, AMBIGUOUS_FACTOR]))
def test_groups_hold_everybody_once_and_nothing_beyond_the_factor(
    quotes: list[Quote], factor: float
) -> None:
    found = groups(quotes, factor)
    assert sorted(q.market_id for group in found for q in group) == list(range(len(quotes)))
    families = {"index": "equity", "commodity": "fx"}
    for group in found:
        prices = [q.unit_price for q in group if q.unit_price]
        assert max(prices) <= factor * min(prices)
        declared = {families.get(q.asset_class, q.asset_class) for q in group if q.asset_class}
        assert len(declared) <= 1


# --- keys


def test_one_meaning_has_the_symbol_for_a_key() -> None:
    verdicts, partings = settle("NVDA", [quote(1, 214.0), quote(2, 215.0, "equity"), quote(3)])
    assert [(v.asset, v.by) for v in verdicts] == [
        ("NVDA", "price"),
        ("NVDA", "price"),
        ("NVDA", "name"),
    ]
    assert partings == []


def test_crypto_has_the_plain_symbol_and_the_others_their_class() -> None:
    quotes = [quote(1, 6900.0, "index"), quote(2, 0.42), quote(3, 0.42, "crypto"), quote(4, 6890.0)]
    verdicts, partings = settle("SPX", quotes)
    assert [v.asset for v in verdicts] == ["SPX (index)", "SPX", "SPX", "SPX (index)"]
    assert partings == [Parting("SPX (index)", 1)]


def test_without_classes_the_many_have_the_plain_symbol_and_the_others_a_number() -> None:
    quotes = [quote(1, 4.9e-3), quote(2, 2.1e-8), quote(3, 2.1e-8), quote(4, 17.0)]
    found = keys("BOB", quotes)
    assert found == {1: "BOB#2", 2: "BOB", 3: "BOB", 4: "BOB#3"}


def test_declared_classes_part_even_without_prices() -> None:
    quotes = [quote(1, None, "index"), quote(2, None, "crypto"), quote(3)]
    verdicts, _ = settle("SPX", quotes)
    assert [v.asset for v in verdicts] == ["SPX (index)", "SPX", None]


def test_what_nothing_tells_has_no_key() -> None:
    """A third market that only says SPX may be either."""
    first, _ = settle("SPX", [quote(1, 6900.0), quote(2, 0.42)])
    again = [*carried([quote(1, 6900.0), quote(2, 0.42)], first), quote(3)]
    assert keys("SPX", again)[3] is None


def test_an_ambiguous_ticker_alone_tells_nothing() -> None:
    quotes = [quote(1, 0.42), quote(2)]
    assert keys("SPX", quotes) == {1: "SPX", 2: "SPX"}
    assert keys("SPX", quotes, ambiguous=True) == {1: "SPX", 2: None}


def test_an_ambiguous_ticker_is_measured_closely() -> None:
    """The token QNT and the share QNT on one day."""
    quotes = [quote(1, 68.94), quote(2, 76.79)]
    assert len(set(keys("QNT", quotes).values())) == 1
    assert len(set(keys("QNT", quotes, ambiguous=True).values())) == 2


def test_a_market_between_two_classes_at_its_price_has_no_key() -> None:
    quotes = [quote(1, 90.0, "equity"), quote(2, 90.0, "commodity"), quote(3, 90.0)]
    assert keys("CL", quotes)[3] is None


def test_a_new_market_takes_the_key_of_its_price() -> None:
    known = [
        quote(1, 0.42, asset="SPX", by="price"),
        quote(2, 6900.0, asset="SPX (index)", by="price"),
    ]
    assert keys("SPX", [*known, quote(3, 6950.0), quote(4, 0.43)]) == {
        1: "SPX",
        2: "SPX (index)",
        3: "SPX (index)",
        4: "SPX",
    }


def test_the_key_that_a_class_gave_outlives_the_first_price() -> None:
    """The other meaning has no price at the moment, so that nothing speaks against either."""
    known = quote(1, asset="SPX", by="price")
    index = quote(2, 6900.0, "index", asset="SPX (index)", by="class")
    verdict = settle("SPX", [known, index])[0][1]
    assert (verdict.asset, verdict.by) == ("SPX (index)", "price")


def test_a_third_meaning_has_a_key_of_its_own() -> None:
    known = [quote(1, 1.0, asset="X", by="price"), quote(2, 50.0, asset="X#2", by="price")]
    verdicts, partings = settle("X", [*known, quote(3, 7e3, "equity"), quote(4, 9e5)])
    assert [v.asset for v in verdicts] == ["X", "X#2", "X (equity)", "X#3"]
    assert partings == [Parting("X (equity)", 3), Parting("X#3", 4)]


def test_a_key_given_before_is_not_given_again() -> None:
    known = quote(1, 1.0, asset="X", by="price")
    assert keys("X", [known, quote(2, 50.0)], taken=["X", "X#2"])[2] == "X#3"


def test_keys_do_not_follow_size() -> None:
    known = [quote(1, 1.0, asset="X", by="price"), quote(2, 50.0, asset="X#2", by="price")]
    many = [quote(i, 50.0) for i in range(3, 30)]
    found = keys("X", [*known, *many])
    assert found[1] == "X"
    assert {found[i] for i in range(2, 30)} == {"X#2"}


def test_meanings_whose_prices_cross_stay_apart() -> None:
    quotes = [quote(1, 1.0, asset="X", by="price"), quote(2, 1.1, asset="X#2", by="price")]
    verdicts, _ = settle("X", quotes)
    assert [(v.asset, v.contradicts) for v in verdicts] == [("X", False), ("X#2", False)]


def test_who_comes_while_they_cross_has_no_key_yet() -> None:
    known = [quote(1, 1.0, asset="X", by="price"), quote(2, 1.1, asset="X#2", by="price")]
    verdict = settle("X", [*known, quote(3, 1.05)])[0][2]
    assert (verdict.asset, verdict.by) == (None, "name")


def test_a_price_that_runs_away_is_doubted_and_leaves_after_a_day() -> None:
    steady = [quote(i, 1.0, asset="X", by="price") for i in (1, 2)]
    away = quote(3, 9.0, asset="X", by="price")
    verdicts, partings = settle("X", [*steady, away])
    assert [(v.asset, v.contradicts) for v in verdicts] == [
        ("X", False),
        ("X", False),
        ("X", True),
    ]
    assert partings == []
    doubted = quote(3, 9.0, asset="X", by="price", doubted=True)
    verdicts, partings = settle("X", [*steady, doubted])
    assert (verdicts[2].asset, verdicts[2].contradicts) == ("X#2", False)
    assert partings == [Parting("X#2", 3)]
    back = quote(3, 1.0, asset="X", by="price", doubted=True)
    assert settle("X", [*steady, back])[0][2] == Verdict(3, "X", "price", False)


def test_the_older_market_of_two_is_believed() -> None:
    quotes = [quote(2, 9.0, asset="X", by="price"), quote(1, 1.0, asset="X", by="price")]
    assert [v.contradicts for v in settle("X", quotes)[0]] == [False, True]


def test_without_a_price_for_a_while_the_key_stays() -> None:
    quotes = [quote(1, 1.0, asset="X", by="price"), quote(2, asset="X#2", by="price")]
    assert keys("X", quotes) == {1: "X", 2: "X#2"}


def test_a_correction_stands_against_any_price() -> None:
    quotes = [
        quote(1, 1.0, asset="X", by="price"),
        quote(2, 50.0, asset="X", by="correction"),
        quote(3, 51.0),
    ]
    verdicts, _ = settle("X", quotes)
    assert (verdicts[1].asset, verdicts[1].by, verdicts[1].contradicts) == (
        "X",
        "correction",
        False,
    )
    assert verdicts[2].asset != "X"


def test_a_class_told_late_corrects_who_was_named_only() -> None:
    """Both had the plain key by name; the index is the second meaning."""
    quotes = [
        quote(1, None, "index", asset="SPX", by="name"),
        quote(2, None, "crypto", asset="SPX", by="name"),
    ]
    found = keys("SPX", quotes)
    assert found[1] != found[2]
    again = carried(quotes, settle("SPX", quotes)[0])
    assert keys("SPX", again) == found, "and stays so"


SYMBOL_QUOTES = st.lists(
    st.tuples(st.one_of(st.none(), PRICES), CLASSES), min_size=1, max_size=9
).map(lambda rows: [quote(i, price, declared) for i, (price, declared) in enumerate(rows)])


@given(SYMBOL_QUOTES, st.booleans(), st.randoms(use_true_random=False))
def test_keys_do_not_depend_on_order(
    quotes: list[Quote], ambiguous: bool, chance: random.Random
) -> None:
    mixed = quotes[:]
    chance.shuffle(mixed)
    assert settle("X", mixed, ambiguous=ambiguous) == settle("X", quotes, ambiguous=ambiguous)


@given(SYMBOL_QUOTES, st.booleans())
def test_first_keys_merge_nothing_beyond_the_factor(quotes: list[Quote], ambiguous: bool) -> None:
    found = keys("X", quotes, ambiguous=ambiguous)
    factor = AMBIGUOUS_FACTOR if ambiguous else FACTOR
    for one in quotes:
        for other in quotes:
            if one.unit_price and other.unit_price and found[one.market_id] is not None:
                same = found[one.market_id] == found[other.market_id]
                assert not same or one.unit_price <= factor * other.unit_price


@given(SYMBOL_QUOTES, st.lists(st.floats(0.01, 100.0), min_size=9, max_size=9), st.booleans())
def test_what_a_price_has_told_stays_whatever_prices_do(
    quotes: list[Quote], moves: list[float], ambiguous: bool
) -> None:
    first = settle("X", quotes, ambiguous=ambiguous)[0]
    moved = [
        quote(
            q.market_id,
            None if q.unit_price is None else q.unit_price * moves[q.market_id],
            q.asset_class,
            asset=v.asset,
            by=v.by,
        )
        for q, v in zip(quotes, first, strict=True)
    ]
    second = settle("X", moved, ambiguous=ambiguous)[0]
    for before, after in zip(first, second, strict=True):
        if before.by == "price":
            assert after.asset == before.asset


@given(SYMBOL_QUOTES, st.booleans())
def test_the_same_once_more_decides_nothing_new(quotes: list[Quote], ambiguous: bool) -> None:
    first = settle("X", quotes, ambiguous=ambiguous)[0]
    second, partings = settle("X", carried(quotes, first), ambiguous=ambiguous)
    third, _ = settle("X", carried(quotes, second), ambiguous=ambiguous)
    assert partings == []
    assert [v.asset for v in second] == [v.asset for v in first]
    assert third == second
