"""Windows as sets of integers: the arithmetic against brute force."""

from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.domain.records import Window
from funding_pipeline.domain.spans import coalesce, subtract

windows = st.builds(Window, st.integers(0, 40), st.integers(0, 40))


def members(spans: list[Window]) -> set[int]:
    return {t for span in spans for t in range(span.start_ms, span.end_ms)}


@given(st.lists(windows, max_size=8))
def test_coalesced_is_the_same_time_in_windows_that_do_not_touch(spans: list[Window]) -> None:
    merged = coalesce(spans)
    assert members(merged) == members(spans)
    edges = [edge for span in merged for edge in (span.start_ms, span.end_ms)]
    assert edges == sorted(set(edges))


@given(windows, st.lists(windows, max_size=8))
def test_subtracted_is_the_rest_in_windows_that_do_not_touch(
    wanted: Window, covered: list[Window]
) -> None:
    missing = subtract(wanted, covered)
    assert members(missing) == members([wanted]) - members(covered)
    edges = [edge for span in missing for edge in (span.start_ms, span.end_ms)]
    assert edges == sorted(set(edges))


@given(st.lists(windows, max_size=6))
def test_coalescing_again_changes_nothing(spans: list[Window]) -> None:
    assert coalesce(coalesce(spans)) == coalesce(spans)


def test_by_hand() -> None:
    assert coalesce([Window(5, 9), Window(0, 5), Window(12, 12)]) == [Window(0, 9)]
    assert subtract(Window(0, 10), [Window(2, 4), Window(8, 20)]) == [Window(0, 2), Window(4, 8)]
    assert subtract(Window(0, 10), [Window(0, 10)]) == []
    assert subtract(Window(3, 3), []) == []
