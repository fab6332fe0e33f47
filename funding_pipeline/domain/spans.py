"""Arithmetic on half-open windows: what is still missing, what grows together.

Belongs here: union and difference of windows. Does not: what a window means.
"""

from collections.abc import Iterable

from funding_pipeline.domain.records import Window


def coalesce(windows: Iterable[Window]) -> list[Window]:
    """The same time as ascending windows that neither overlap nor touch; empty ones vanish."""
    merged: list[Window] = []
    for window in sorted(w for w in windows if w.end_ms > w.start_ms):
        if merged and window.start_ms <= merged[-1].end_ms:
            last = merged.pop()
            merged.append(Window(last.start_ms, max(last.end_ms, window.end_ms)))
        else:
            merged.append(window)
    return merged


def subtract(wanted: Window, covered: Iterable[Window]) -> list[Window]:
    """The parts of `wanted` outside `covered`, ascending."""
    missing: list[Window] = []
    start = wanted.start_ms
    for window in coalesce(covered):
        if window.end_ms <= start or window.start_ms >= wanted.end_ms:
            continue
        if window.start_ms > start:
            missing.append(Window(start, window.start_ms))
        start = max(start, window.end_ms)
    if start < wanted.end_ms:
        missing.append(Window(start, wanted.end_ms))
    return missing
