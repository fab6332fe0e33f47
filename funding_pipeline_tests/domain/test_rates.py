"""Units: the decimal text is scaled exactly and rounded once; everything else is refused."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.rates import HOURS_PER_YEAR, RateUnit, apr, fraction, rate_hourly

decimals = st.builds(
    lambda sign, whole, point, digits, exponent: (
        f"{sign}{whole}{'.' + digits if point else ''}{exponent}"
    ),
    st.sampled_from(["", "-", "+"]),
    st.text("0123456789", min_size=1, max_size=6),
    st.booleans(),
    st.text("0123456789", max_size=22),
    st.sampled_from(["", "e-7", "E5", "e+3", "e-12"]),
)


@given(decimals)
def test_percent_is_the_exact_hundredth_rounded_once(text: str) -> None:
    assert fraction(text, RateUnit.PERCENT) == float(Decimal(text) / 100)


@given(decimals)
def test_a_fraction_is_the_nearest_float(text: str) -> None:
    assert fraction(text) == float(Decimal(text))


def test_the_example_that_float_division_gets_wrong_somewhere() -> None:
    assert fraction("0.0012", RateUnit.PERCENT) == 1.2e-05
    assert fraction("0.0012", RateUnit.PERCENT) * HOURS_PER_YEAR == pytest.approx(
        0.10512, rel=1e-12
    )
    wrong = [t for t in range(1, 2000) if fraction(f"0.{t:04}", RateUnit.PERCENT) != t / 1e4 / 100]
    assert wrong, "dividing the float would round twice; the text does not"


@given(decimals)
def test_the_sign_of_the_text_is_the_sign_of_the_rate(text: str) -> None:
    value = fraction(text, RateUnit.PERCENT)
    assert math.copysign(1, value) == (-1 if text.startswith("-") else 1)


REFUSED = [
    *("", " ", "NaN", "nan", "inf", "-inf", "Infinity", "1_0", " 1", "1 ", "1\n", "\t1", ".5", "."),
    *("-", "+", "e5", "1e", "1e1000", "--1", "1.2.3", "1,5", "0x10", "None", "null", "true"),
    *("<html>", "<!DOCTYPE html>", "0.01%", "٣", "１", "1e400", "9" * 400),
]


@pytest.mark.parametrize(("unit", "hours"), [(unit, 8) for unit in RateUnit])
@pytest.mark.parametrize("text", REFUSED)
def test_anything_but_a_finite_decimal_is_refused(text: str, unit: RateUnit, hours: int) -> None:
    with pytest.raises(ValueError, match=r"no decimal number|not finite"):
        fraction(text, unit, hours)


def test_an_overflow_is_refused_and_an_underflow_is_zero() -> None:
    with pytest.raises(ValueError, match="not finite"):
        fraction("1e309")
    with pytest.raises(ValueError, match="not finite"):
        fraction("1e311", RateUnit.PERCENT)
    assert fraction("1e309", RateUnit.PERCENT) == 1e307
    assert fraction("1e-999") == 0.0


@given(decimals, st.sampled_from([1, 2, 4, 8, 24]))
def test_an_annual_fraction_is_its_exact_share_rounded_once(text: str, hours: int) -> None:
    exact = Fraction(text) * hours / HOURS_PER_YEAR
    assert fraction(text, RateUnit.ANNUAL_FRACTION, hours) == float(exact)


def test_an_annual_fraction_without_its_interval_is_refused() -> None:
    assert fraction("0.1095", RateUnit.ANNUAL_FRACTION, 8) == 0.0001
    with pytest.raises(ValueError, match="an annual rate without its interval"):
        fraction("0.1095", RateUnit.ANNUAL_FRACTION)


def test_hourly_and_apr() -> None:
    assert rate_hourly(0.0001, 8) == 1.25e-05
    assert apr(0.0001, 8) == pytest.approx(0.1095, rel=1e-12)
    assert apr(0.0000125, 1) == pytest.approx(0.1095, rel=1e-12)
    assert apr(-0.0001, 8) == -apr(0.0001, 8)
    assert apr(1.0, 1) == 8760, "simple, never compounded"
