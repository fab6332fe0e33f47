"""The server as a process: its line when ready, its description, its end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from funding_pipeline.sandbox.market import Dataset
from funding_pipeline.sandbox.server import running_sandbox

CALL = """
import sys
from pathlib import Path
from funding_pipeline.sandbox.server import serve
serve(None, int(sys.argv[1]), True, 5, Path(sys.argv[2]) if len(sys.argv) > 2 else None, False)
"""


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CALL, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with start("0") as running:
        yield running
        if running.poll() is None:
            running.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_ends_cleanly(
    process: subprocess.Popen[str], number: signal.Signals
) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("sandbox ready at http://127.0.0.1:")
    url = line.split()[3]
    described = httpx.get(url).json()
    assert described["limits"] is True
    assert described["exchanges"]["hyperliquid"]["markets"] == 5
    process.send_signal(number)
    rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_wrong_fault_file_stops_it_before_it_listens(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('[{"kind": "explode"}]')
    with start("0", str(file)) as running:
        said, errors = running.communicate(timeout=20)
    assert running.returncode != 0
    assert "ready" not in said
    assert "explode" in errors


def test_the_description_names_every_exchange(client: httpx.Client, now_ms: int) -> None:
    described = client.get("/").json()
    assert described["now_ms"] == now_ms
    assert described["exchanges"]["bybit"]["origin"] == "/bybit"
    assert described["exchanges"]["bybit"]["markets"] == 5


def test_the_port_is_free_again_afterwards(dataset: Dataset) -> None:
    with running_sandbox(dataset) as url:
        port = int(url.rpartition(":")[2])
        assert httpx.get(url).status_code == 200
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", port)) != 0
