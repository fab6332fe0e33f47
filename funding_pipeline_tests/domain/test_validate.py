"""Validation: one row per slot, the nearer wins, bad rows go to quarantine with their reason."""

from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.grid import HOUR_MS
from funding_pipeline.domain.rates import RateUnit
from funding_pipeline.domain.records import Quarantined, RawSettlement, Slotted
from funding_pipeline.domain.validate import validate

TEN = 1_700_000_000_000 // HOUR_MS * HOUR_MS
NOW = TEN + 100 * HOUR_MS


def raw(offset_ms: int = 0, text: str = "0.0001") -> RawSettlement:
    return RawSettlement("AAA", TEN + offset_ms, text)


def check(
    *rows: RawSettlement, now_ms: int = NOW, bound: float = 0.05
) -> tuple[list[Slotted], list[Quarantined]]:
    return validate(rows, unit=RateUnit.FRACTION, max_abs_rate=bound, now_ms=now_ms)


def reasons(rejected: list[Quarantined]) -> list[str]:
    return [q.reason.partition(":")[0] for q in rejected]


def test_good_rows_come_ascending_with_their_lag() -> None:
    valid, rejected = check(raw(HOUR_MS + 47, "-0.0002"), raw(0))
    assert [(r.slot_ms, r.rate, r.lag_ms) for r in valid] == [
        (TEN, 0.0001, 0),
        (TEN + HOUR_MS, -0.0002, 47),
    ]
    assert rejected == []


def test_an_exact_repetition_is_one_row_and_no_trouble() -> None:
    valid, rejected = check(raw(), raw(), raw())
    assert (len(valid), rejected) == (1, [])


def test_of_two_rows_in_one_slot_the_nearer_stays_whatever_the_order() -> None:
    near, far = raw(50, "0.0001"), raw(900_000, "0.0002")
    for rows in ([near, far], [far, near]):
        valid, rejected = check(*rows)
        assert [r.raw for r in valid] == [near]
        assert [q.raw for q in rejected] == [far]
        assert "nearer" in rejected[0].reason


def test_near_counts_in_both_directions_and_a_tie_goes_to_the_earlier_stamp() -> None:
    assert check(raw(-2_000, "0.0003"), raw(1_000))[0][0].rate == 0.0001
    for rows in ([raw(1_000), raw(-1_000, "0.0003")], [raw(-1_000, "0.0003"), raw(1_000)]):
        assert check(*rows)[0][0].rate == 0.0003


def test_at_the_same_stamp_the_first_sent_stays_and_the_other_is_kept_aside() -> None:
    valid, rejected = check(raw(0, "0.0001"), raw(0, "0.0009"))
    assert [r.rate for r in valid] == [0.0001]
    assert [q.raw.rate_text for q in rejected] == ["0.0009"]


def test_three_rows_in_a_slot_leave_two_in_quarantine() -> None:
    valid, rejected = check(raw(900_000), raw(5), raw(600_000))
    assert [r.lag_ms for r in valid] == [5]
    assert len(rejected) == 2


def test_a_bad_row_never_takes_a_slot_from_a_good_one() -> None:
    for bad in ("NaN", "", "1e9", "<html>"):
        for rows in ([raw(0, bad), raw(60_000)], [raw(60_000), raw(0, bad)]):
            valid, rejected = check(*rows)
            assert [r.lag_ms for r in valid] == [60_000]
            assert reasons(rejected) == ["not a number" if bad != "1e9" else "beyond the bound"]


def test_the_bound_itself_is_believable_and_beyond_is_not() -> None:
    valid, rejected = check(raw(0, "0.05"), raw(HOUR_MS, "-0.05"), raw(2 * HOUR_MS, "-0.0500001"))
    assert len(valid) == 2
    assert [q.reason for q in rejected] == ["beyond the bound: |-0.0500001| > 0.05"]


def test_the_future_begins_a_minute_from_now() -> None:
    valid, rejected = check(raw(60_000), raw(60_001, "0.0002"), now_ms=TEN)
    assert [r.lag_ms for r in valid] == [60_000]
    assert reasons(rejected) == ["in the future"]


def test_off_grid_rows_are_kept_aside() -> None:
    valid, rejected = check(raw(31 * 60_000), raw(-6_000))
    assert valid == []
    assert reasons(rejected) == ["off grid", "off grid"]


@given(
    st.lists(
        st.tuples(
            st.integers(-10_000, 5 * HOUR_MS),
            st.sampled_from(["0.0001", "-0.02", "NaN", "", "7", "0.00010"]),
        ),
        max_size=12,
    )
)
def test_no_row_is_lost_and_no_slot_is_taken_twice(sent: list[tuple[int, str]]) -> None:
    rows = [raw(offset, text) for offset, text in sent]
    valid, rejected = check(*rows)
    slots = [r.slot_ms for r in valid]
    assert slots == sorted(set(slots))
    assert {r.raw for r in valid} | {q.raw for q in rejected} == set(rows)
    assert not {r.raw for r in valid} & {q.raw for q in rejected if "nearer" not in q.reason}
