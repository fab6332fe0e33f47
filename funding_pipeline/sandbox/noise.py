"""Seeded noise with random access: the value at any point is a pure function of key and point.

Belongs here: uniform and smooth noise. Does not belong here: what the noise stands for.
"""

from functools import lru_cache
from hashlib import shake_128
from struct import Struct

_BLOCK = 64
_WORDS = Struct(f"<{_BLOCK}Q")


@lru_cache(maxsize=16384)
def _block(key: str, number: int) -> tuple[float, ...]:
    digest = shake_128(f"{key}|{number}".encode()).digest(_WORDS.size)
    return tuple(word / 2**64 for word in _WORDS.unpack(digest))


def uniform(key: str, point: int) -> float:
    """A value in [0, 1) that depends on nothing but key and point."""
    return _block(key, point // _BLOCK)[point % _BLOCK]


@lru_cache(maxsize=16384)
def _knots(key: str, knot: int) -> tuple[float, float]:
    return uniform(key, knot), uniform(key, knot + 1)


def smooth(key: str, point: int, period: int) -> float:
    """A value in [-1, 1] that wanders from one random level to the next every `period` points."""
    knot, offset = divmod(point, period)
    here, there = _knots(key, knot)
    share = offset / period
    share *= share * (3 - 2 * share)
    return 2 * (here + (there - here) * share) - 1
