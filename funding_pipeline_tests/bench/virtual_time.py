"""An event loop whose clock jumps over its waits: an hour at the exchanges' limits in seconds.

Belongs here: simulated time. Does not: what is simulated. Nothing real may be waited for on such a
loop but work in threads, during which its clock stands still.
"""

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and moves only when everything waits."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._in_threads = 0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Simulated seconds."""
        return self._now_s

    def pass_time(self, timeout: float | None) -> float | None:
        """What the selector may really wait: all of it for threads, else nothing."""
        if self._in_threads or timeout is None:
            return None
        # At least so much that adding it is no rounding error.
        self._now_s += max(1e-6, timeout)
        return 0.0

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """As ever, and time stands still until it is done."""
        self._in_threads += 1
        future = super().run_in_executor(executor, func, *args)
        future.add_done_callback(self._left_thread)
        return future

    def _left_thread(self, _: object) -> None:
        self._in_threads -= 1


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Lets the clock jump where another one would wait."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        ready = super().select(0)
        if ready:
            return ready
        return super().select(self._loop.pass_time(timeout))
