"""Runs the sandbox: in the foreground for a person, or in a thread for a test.

Belongs here: assembling data, faults and application; sockets, signals, start and end. Does not
belong here: the command line that calls `serve`, and what is answered.
"""

import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn

from funding_pipeline.sandbox.app import create_app
from funding_pipeline.sandbox.faults import FaultPlan, read_faults
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.recorded import load_recorded
from funding_pipeline.sandbox.registry import EXCHANGES

_HOST = "127.0.0.1"
_START_SECONDS = 10.0
_STOP_SECONDS = 5.0


class NothingToServeError(ValueError):
    """The data folder holds no file of any exchange the sandbox speaks for."""


def system_now_ms() -> int:
    """The time of the machine in ms."""
    return time.time_ns() // 1_000_000


def load_dataset(
    data: Path | None, *, markets: int | None = None, shift_to_now: bool = False
) -> Dataset:
    """Recorded markets from the folder `data`, or generated ones without a folder."""
    if data is None:
        return generate(EXCHANGES.values(), markets=markets)
    dataset = load_recorded(
        data,
        EXCHANGES.values(),
        now_ms=system_now_ms(),
        markets=markets,
        shift_to_now=shift_to_now,
    )
    if not dataset.markets:
        names = ", ".join(f"{stem}.parquet" for e in EXCHANGES.values() for stem in e.file_stems)
        raise NothingToServeError(f"{data} holds none of: {names}")
    return dataset


def serve(
    data: Path | None,
    port: int,
    limits: bool,
    markets: int | None,
    faults: Path | None,
    shift_to_now: bool,
) -> None:
    """Serves until SIGTERM or SIGINT; port 0 picks a free one. Prints the URL when ready."""
    plan = FaultPlan(read_faults(faults)) if faults is not None else FaultPlan()
    dataset = load_dataset(data, markets=markets, shift_to_now=shift_to_now)
    counts = ", ".join(f"{name} {len(found)}" for name, found in dataset.markets.items())
    listening = _listen(port)
    url = _url(listening)

    def ready() -> None:
        limited = "with rate limits" if limits else "without rate limits"
        print(
            f"sandbox ready at {url} ({dataset.source}; markets: {counts}; {limited})", flush=True
        )
        for name, note in dataset.notes.items():
            print(f"{name}: {note}", flush=True)

    app = create_app(dataset, limits=limits, faults=plan, now=system_now_ms)
    server = _Server(_config(app), ready)
    with _quiet_signals():
        server.run(sockets=[listening])


@contextmanager
def running_sandbox(
    dataset: Dataset,
    *,
    limits: bool = False,
    faults: FaultPlan | None = None,
    now: Callable[[], int] = system_now_ms,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[str]:
    """The sandbox in a background thread on a free port; gives its URL."""
    listening = _listen(0)
    started = threading.Event()
    app = create_app(dataset, limits=limits, faults=faults, now=now, clock=clock)
    server = _Server(_config(app), started.set)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        if not started.wait(_START_SECONDS):
            raise TimeoutError("the sandbox did not start")
        yield _url(listening)
    finally:
        server.should_exit = True
        thread.join(_STOP_SECONDS)
        listening.close()


class _Server(uvicorn.Server):
    """A uvicorn server that tells when it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._on_ready()


def _config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        lifespan="off",
        access_log=False,
        # A connection cut on purpose is logged as an error; here it is none.
        log_level="critical",
        timeout_graceful_shutdown=1,
    )


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((_HOST, port))
    except OSError:
        listening.close()
        raise
    return listening


def _url(listening: socket.socket) -> str:
    return f"http://{_HOST}:{listening.getsockname()[1]}"


@contextmanager
def _quiet_signals() -> Iterator[None]:
    """uvicorn repeats the signal that ended it; ignored here, the process ends with status 0."""

    def ignore(_: int, __: FrameType | None) -> None:
        return None

    before = {number: signal.signal(number, ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
