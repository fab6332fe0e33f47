"""Identities: what the rule proposes, what corrections make of it, with which dates."""

from datetime import date, datetime
from typing import Any

import pytest

from funding_pipeline.domain.corrections import CorrectionError, Corrections, parse
from funding_pipeline.domain.identity import Identity, at, observed, propose, resolve
from funding_pipeline.domain.records import Market
from funding_pipeline.domain.symbols import unify
from funding_pipeline.warehouse.registry import shipped_corrections

T1, T2, T3 = (datetime(2025, month, 1) for month in (1, 2, 3))


def identity(symbol: str = "PEPE", **more: Any) -> Identity:
    return Identity(**{"multiplier": 1, "quote": "USDT", "settle": "USDT", "symbol": symbol} | more)


def market(native: str, base: str, **more: Any) -> Market:
    symbol, multiplier = unify(base)
    return Market(
        market=native, symbol=symbol, multiplier=multiplier, quote="USDT", settle="USDT", **more
    )


def resolved(exchange: str, listed: Market, corrections: Corrections) -> Identity:
    (only,) = resolve(exchange, listed.market, [propose(listed)], corrections)
    return only


def entry(**fields: Any) -> str:
    lines = {"why": "because"} | fields
    return "[[correction]]\n" + "\n".join(
        f"{name} = {value if isinstance(value, date) else repr(value).lower()}"
        if not isinstance(value, str)
        else f'{name} = "{value}"'
        for name, value in lines.items()
    )


def corrected(**fields: Any) -> Corrections:
    return parse(entry(**fields))


# --- proposals over time


def test_the_first_sight_has_no_beginning() -> None:
    assert observed([], identity(), T1) == [identity()]


def test_nothing_new_changes_nothing() -> None:
    history = [identity(valid_to=T1), identity("POL", valid_from=T1)]
    assert observed(history, identity("POL"), T3) == history


@pytest.mark.parametrize(
    "change",
    [
        {"symbol": "POL"},
        {"multiplier": 1000},
        {"quote": "USDC"},
        {"settle": "USDC"},
        {"asset_class": "equity"},
    ],
)
def test_a_change_ends_one_identity_and_begins_another(change: dict[str, Any]) -> None:
    old = identity(asset_class="crypto", valid_from=T1)
    new = identity(**{"asset_class": "crypto"} | change)
    found = observed([old], new, T2)
    assert [(i.valid_from, i.valid_to) for i in found] == [(T1, T2), (T2, None)]
    assert all(getattr(found[1], name) == value for name, value in change.items())


def test_a_class_told_late_was_always_so_and_is_not_forgotten() -> None:
    told = identity(asset_class="crypto", valid_from=T1)
    assert observed([identity(valid_from=T1)], identity(asset_class="crypto"), T2) == [told]
    assert observed([told], identity(), T2) == [told]


def test_another_symbol_does_not_inherit_the_class() -> None:
    found = observed([identity(asset_class="crypto")], identity("META"), T2)
    assert found[-1].asset_class is None


# --- corrections


def test_without_corrections_the_rule_stands() -> None:
    found = resolved("gate", market("1000PEPE_USDT", "1000PEPE"), Corrections())
    assert found == identity(multiplier=1000)
    assert found.source == "rule"


def test_a_correction_of_a_base_holds_on_all_exchanges() -> None:
    file = corrected(base="XBT", symbol="BTC")
    odd = Market(market="XBTUSD", symbol="XBT", quote="USD", settle="USD")
    for exchange in ("kucoin", "kraken"):
        found = resolved(exchange, odd, file)
        assert (found.symbol, found.source) == ("BTC", "correction")
    assert resolved("kucoin", market("ETHUSDTM", "ETH"), file).source == "rule"


def test_the_particular_beats_the_general() -> None:
    file = parse(
        "\n".join(
            [
                entry(exchange="gate", market="CAT_USDT", asset_class="equity"),
                entry(exchange="gate", base="CAT", asset_class="index", multiplier=7),
                entry(base="CAT", asset_class="crypto", multiplier=3, symbol="CATS"),
            ]
        )
    )
    own = resolved("gate", market("CAT_USDT", "CAT"), file)
    assert (own.asset_class, own.multiplier, own.symbol) == ("equity", 7, "CATS")
    other = resolved("gate", market("CAT_USDC", "CAT"), file)
    assert (other.asset_class, other.multiplier) == ("index", 7)
    elsewhere = resolved("okx", market("CAT_USDT", "CAT"), file)
    assert (elsewhere.asset_class, elsewhere.multiplier) == ("crypto", 3)


def test_a_correction_that_says_what_the_rule_says_is_none() -> None:
    listed = market("BTCUSDT", "BTC", asset_class="crypto")
    assert resolved("gate", listed, corrected(base="BTC", asset_class="crypto")).source == "rule"


def test_dates_cut_an_identity() -> None:
    file = corrected(
        exchange="edgex",
        market="MATICUSD",
        symbol="POL",
        **{"from": date(2024, 9, 4), "to": date(2025, 1, 1)},
    )
    found = resolve("edgex", "MATICUSD", [identity("MATIC")], file)
    assert [(i.symbol, i.valid_from, i.valid_to, i.source) for i in found] == [
        ("MATIC", None, datetime(2024, 9, 4), "rule"),
        ("POL", datetime(2024, 9, 4), datetime(2025, 1, 1), "correction"),
        ("MATIC", datetime(2025, 1, 1), None, "rule"),
    ]
    assert [at(found, moment).symbol for moment in (datetime(2024, 9, 3, 23), T1, T2)] == [
        "MATIC",
        "MATIC",
        "MATIC",
    ]
    assert at(found, datetime(2024, 9, 4)).symbol == "POL"


def test_dates_outside_an_identity_cut_nothing() -> None:
    proposals = [identity("MATIC", valid_to=T1), identity("POL", valid_from=T1)]
    file = corrected(base="MATIC", symbol="POL", **{"from": date(2024, 9, 4)})
    found = resolve("x", "M", proposals, file)
    assert [(i.symbol, i.valid_from, i.valid_to) for i in found] == [
        ("MATIC", None, datetime(2024, 9, 4)),
        ("POL", datetime(2024, 9, 4), T1),
        ("POL", T1, None),
    ]


def test_equal_neighbours_are_one() -> None:
    file = corrected(base="PEPE", symbol="PEPE", **{"from": date(2025, 1, 15)})
    assert resolve("x", "P", [identity(valid_from=T1)], file) == [identity(valid_from=T1)]


def test_a_predecessor_links_and_changes_nothing_else() -> None:
    by_symbol = corrected(base="SKY", predecessor="MKR", ratio=24000, on=date(2024, 9, 18))
    found = resolved("binance", market("SKYUSDT", "SKY"), by_symbol)
    assert (found.predecessor, found.predecessor_symbol, found.predecessor_ratio) == (
        None,
        "MKR",
        24000,
    )
    assert (found.symbol, found.multiplier, found.valid_from) == ("SKY", 1, None)
    native = corrected(exchange="gate", market="POL_USDT", predecessor="MATIC_USDT")
    found = resolved("gate", market("POL_USDT", "POL"), native)
    assert (found.predecessor, found.predecessor_symbol) == ("MATIC_USDT", None)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"base": "A", "why": ""}, r"entry 1 \(all exchanges, base A\): `why` is empty"),
        ({"symbol": "A"}, "needs either `market` or `base`"),
        ({"exchange": "x", "market": "A", "base": "A", "symbol": "B"}, "either `market` or `base`"),
        ({"market": "AUSDT", "symbol": "B"}, r"market AUSDT\): a native `market` needs"),
        ({"base": "A"}, "decides nothing"),
        ({"base": "A", "multiplier": 0, "symbol": "B"}, "`multiplier` must be at least 1"),
        ({"base": "A", "multiplier": "many"}, r"entry 1 \(A\): Expected `int"),
        ({"base": "A", "asset_class": "meme"}, r"entry 1 \(A\): Invalid enum value 'meme'"),
        ({"base": "A", "simbol": "B"}, r"entry 1 \(A\): .*unknown field `simbol`"),
        ({"base": "A", "predecessor": "A"}, "its own predecessor"),
        ({"base": "A", "predecessor": "B", "ratio": -1.0}, "`ratio` must be positive"),
        ({"base": "A", "symbol": "B", "ratio": 2.0}, "need a `predecessor`"),
        ({"base": "A", "predecessor": "B", "from": date(2025, 1, 1)}, "bound symbol, multiplier"),
        ({"base": "A", "asset": "B"}, "decided market by market"),
        ({"base": "A", "exchange": "x", "ambiguous": True}, "for all exchanges"),
        (
            {"base": "A", "symbol": "B", "from": date(2025, 1, 1), "to": date(2025, 1, 1)},
            "`from` is not before `to`",
        ),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(CorrectionError, match=message):
        parse(entry(**fields))


def test_why_may_not_be_left_out() -> None:
    with pytest.raises(CorrectionError, match=r"entry 1 \(A\): .*missing required field `why`"):
        parse('[[correction]]\nbase = "A"\nsymbol = "B"')


def test_the_place_of_the_wrong_entry_is_told() -> None:
    good = entry(base="A", symbol="B")
    with pytest.raises(CorrectionError, match="entry 2"):
        parse(f"{good}\n{entry(base='C')}")


@pytest.mark.parametrize("text", ["[[correction", 'title = "x"', "[correction]\nbase = 'A'"])
def test_what_is_no_list_of_corrections_is_refused(text: str) -> None:
    with pytest.raises(CorrectionError):
        parse(text)


def test_one_thing_is_not_decided_twice_at_one_time() -> None:
    first = entry(base="A", symbol="B", to=date(2025, 1, 1))
    later = entry(base="A", symbol="C", **{"from": date(2025, 1, 1)})
    assert len(parse(f"{first}\n{later}").entries) == 2
    overlapping = entry(base="A", symbol="C", **{"from": date(2024, 12, 31)})
    with pytest.raises(CorrectionError, match=r"base A\): symbol decided twice"):
        parse(f"{first}\n{overlapping}")


# --- what is shipped


def test_the_shipped_file_is_valid_and_gives_reasons() -> None:
    entries = shipped_corrections().entries
    assert entries
    assert all(len(one.why) > 10 for one in entries)


def test_shipped_bases_are_those_that_the_rule_proposes() -> None:
    """An entry for what no rule proposes would never apply; XBT is for lists that skip the rule."""
    for one in shipped_corrections().entries:
        if one.base and one.base != "XBT":
            assert unify(one.base) == (one.base, 1), one


@pytest.mark.parametrize(
    ("exchange", "native", "base", "symbol", "asset_class"),
    [
        ("binance", "CATUSDT", "CAT", "CAT", "equity"),
        ("binance", "1000CATUSDT", "1000CAT", "CAT", "crypto"),
        ("binance", "METAUSDT", "META", "META", "equity"),
        ("htx", "META-USDT", "META", "META", None),
        ("edgex", "MATICUSD", "MATIC", "POL", None),
        ("hyperliquid", "MATIC", "MATIC", "MATIC", None),
    ],
)
def test_shipped_identities(
    exchange: str, native: str, base: str, symbol: str, asset_class: str | None
) -> None:
    proposals = [propose(market(native, base))]
    now = at(resolve(exchange, native, proposals, shipped_corrections()), datetime(2026, 7, 4))
    assert (now.symbol, now.asset_class) == (symbol, asset_class)


@pytest.mark.parametrize(
    ("new", "old", "ratio"),
    [("POL", "MATIC", 1), ("S", "FTM", 1), ("A", "EOS", 1), ("SKY", "MKR", 24_000)],
)
def test_shipped_renames_link_and_keep_both_symbols(new: str, old: str, ratio: float) -> None:
    after = resolved("gate", market(f"{new}_USDT", new), shipped_corrections())
    before = resolved("gate", market(f"{old}_USDT", old), shipped_corrections())
    assert (after.predecessor_symbol, after.predecessor_ratio) == (old, ratio)
    assert (before.symbol, before.source) == (old, "rule")
