"""Hypothesis strategies for settlement series: changing intervals, odd steps, holes.

Belongs here: how random series look. Does not: what is expected of them.
"""

from datetime import timedelta

from hypothesis import strategies as st

from .hour_by_hour import Life, Row, at

RATES = st.one_of(
    st.floats(-0.05, 0.05),
    # Sums that nearly cancel: a mean 1e-12 of its rates.
    st.sampled_from([0.0, 0.04, -0.04, 1e-5, -1e-5, 1.1e-14, -0.04 + 4e-15]),
)
INTERVALS = st.sampled_from([1, 2, 3, 4, 5, 8, 24])


@st.composite
def rows(draw: st.DrawFn, *, max_size: int = 40, first_hour: int = 60) -> list[Row]:
    """Rows ascending in time; a step is the interval, shorter (odd) or longer (a hole)."""
    hour = draw(st.integers(0, first_hour))
    series = []
    for _ in range(draw(st.integers(1, max_size))):
        interval = draw(INTERVALS)
        odd = st.integers(1, 30)
        hour += draw(st.one_of(st.just(interval), st.just(interval), odd))
        series.append(Row(at(hour), draw(RATES), interval))
    return series


@st.composite
def lives(draw: st.DrawFn) -> Life:
    """A life with bounds that may be open and need not be whole hours."""
    minutes = st.none() | st.integers(0, 40 * 24 * 60)
    listed, lasted = draw(minutes), draw(minutes)
    start = None if listed is None else at(0) + timedelta(minutes=listed)
    end = None if lasted is None else (start or at(0)) + timedelta(minutes=lasted)
    return start, end
