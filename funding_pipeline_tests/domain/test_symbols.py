"""Unified symbols: the multiplier is taken off, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.symbols import unify


@pytest.mark.parametrize(
    ("base", "symbol", "multiplier"),
    [
        ("BTC", "BTC", 1),
        ("XBT", "BTC", 1),
        ("1000PEPE", "PEPE", 1_000),
        ("kPEPE", "PEPE", 1_000),
        ("kSHIB", "SHIB", 1_000),
        ("SHIB1000", "SHIB", 1_000),
        ("10000LADYS", "LADYS", 10_000),
        ("1000000MOG", "MOG", 1_000_000),
        ("1MBABYDOGE", "BABYDOGE", 1_000_000),
        ("10000000AIDOGE", "AIDOGE", 10_000_000),
        ("1000CAT", "CAT", 1_000),
        ("1000X", "X", 1_000),
        ("KAITO", "KAITO", 1),
        ("KAS", "KAS", 1),
        ("KSM", "KSM", 1),
        ("2Z", "2Z", 1),
        ("0G", "0G", 1),
        ("1INCH", "1INCH", 1),
        ("100X", "100X", 1),
        ("API3", "API3", 1),
        ("LUNA2", "LUNA2", 1),
        ("SPX6900", "SPX6900", 1),
        ("XYZ100", "XYZ100", 1),
        ("US500", "US500", 1),
        ("1000", "1000", 1),
        ("k", "k", 1),
    ],
)
def test_the_rule(base: str, symbol: str, multiplier: int) -> None:
    assert unify(base) == (symbol, multiplier)


@given(st.from_regex(r"[A-Z]{2,8}", fullmatch=True), st.integers(3, 7))
def test_a_multiplier_in_front_is_taken_off_whatever_the_name(name: str, zeros: int) -> None:
    assert unify(f"1{'0' * zeros}{name}") == (name, 10**zeros)
    assert unify(f"k{name}") == (name, 1000)
