"""Measuring memory from a small process: the system counts a process as at least as large as the
one that started it.

Belongs here: running a call there. Does not: what is measured.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

T = TypeVar("T")


def from_small_process(call: Callable[[], T]) -> T:
    """The result of a call that starts the processes to be measured."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call).result()
