"""The circuit breaker: states and pauses, by hand and by any sequence of ends."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.breaker import FAILURES, TRY, Breaker, pause

T0 = datetime(2026, 3, 1)
MINUTE = timedelta(minutes=1)


def failed(times: int, breaker: Breaker | None = None, *, now: datetime = T0) -> Breaker:
    breaker = breaker or Breaker()
    for _ in range(times):
        breaker = breaker.after_failure(now, tried=False)
    return breaker


def test_two_failures_leave_it_closed_the_third_opens_it() -> None:
    assert failed(2) == Breaker(2)
    assert failed(2).closed
    assert failed(3) == Breaker(3, T0, T0 + 15 * MINUTE)


def test_what_began_before_and_fails_after_the_opening_changes_nothing() -> None:
    opened = failed(3)
    assert opened.after_failure(T0 + MINUTE, tried=False) == opened


def test_half_open_is_for_one() -> None:
    opened = failed(3)
    half = T0 + 15 * MINUTE
    assert not opened.may_try(half - MINUTE)
    assert opened.may_try(half)
    claimed = opened.claimed(half)
    assert not claimed.may_try(half)
    assert not claimed.closed
    # A process that died in its try blocks nobody for ever.
    assert not claimed.may_try(half + TRY - MINUTE)
    assert claimed.may_try(half + TRY)


def test_a_failed_try_doubles_the_pause_and_keeps_the_beginning() -> None:
    half = T0 + 15 * MINUTE
    again = failed(3).claimed(half).after_failure(half + MINUTE, tried=True)
    assert again == Breaker(4, T0, half + 31 * MINUTE)
    assert Breaker(0).closed


def test_pauses_stay_below_the_hour_so_that_every_hourly_tick_may_try() -> None:
    assert [pause(n) // MINUTE for n in (3, 4, 5, 6, 10**9)] == [15, 30, 45, 45, 45]


@given(st.lists(st.tuples(st.integers(0, 90), st.booleans()), max_size=40))
def test_it_is_open_exactly_from_the_third_failure_on(steps: list[tuple[int, bool]]) -> None:
    """Whatever fails when: closed below three failures, else with a try within the hour."""
    breaker, now = Breaker(), T0
    for minutes, tried in steps:
        now += minutes * MINUTE
        breaker = breaker.after_failure(now, tried=tried)
        assert breaker.closed == (breaker.failures < FAILURES)
        if breaker.retry_at is not None:
            assert breaker.may_try(max(now, breaker.retry_at))
            assert breaker.retry_at - now <= timedelta(hours=1)
