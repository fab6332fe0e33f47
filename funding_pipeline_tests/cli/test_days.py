"""Which window the options mean."""

from datetime import UTC, date, datetime

from funding_pipeline.cli.days import days_in_words, window_of

TODAY = date(2026, 3, 10)


def _ms(year: int, month: int, day: int) -> int:
    return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)


def test_days_are_the_last_full_ones_and_today() -> None:
    window = window_of(2, None, None, today=TODAY)
    assert (window.start_ms, window.end_ms) == (_ms(2026, 3, 8), _ms(2026, 3, 11))


def test_thirty_days_by_default() -> None:
    window = window_of(None, None, None, today=TODAY)
    assert (window.start_ms, window.end_ms) == (_ms(2026, 2, 8), _ms(2026, 3, 11))


def test_the_last_day_is_included() -> None:
    window = window_of(None, date(2025, 5, 1), date(2025, 5, 1), today=TODAY)
    assert (window.start_ms, window.end_ms) == (_ms(2025, 5, 1), _ms(2025, 5, 2))
    assert days_in_words(window) == "2025-05-01 to 2025-05-01"


def test_from_alone_reaches_to_today() -> None:
    window = window_of(None, date(2026, 3, 1), None, today=TODAY)
    assert days_in_words(window) == "2026-03-01 to 2026-03-10"
