"""`funding sandbox`: it serves, it ends, it says what is wrong with its options."""

import signal
import socket
from pathlib import Path

import httpx
import pytest

from funding_pipeline_tests.cli.conftest import Run, start


@pytest.mark.slow
def test_serves_until_interrupted() -> None:
    process = start("sandbox", "--port", "0", "--markets", "2", "--no-limits")
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert "hyperliquid 2" in ready
        assert "bybit 2" in ready
        url = ready.split(" at ")[1].split()[0]
        assert httpx.get(url, trust_env=False).json()["limits"] is False
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.wait()


def test_a_folder_without_data(run: Run, tmp_path: Path) -> None:
    result = run("sandbox", "--data", str(tmp_path))
    assert result.exit_code == 2
    assert "hyperliquid.parquet" in result.output


def test_a_fault_file_that_is_none(run: Run) -> None:
    Path("faults.json").write_text('[{"kind": "earthquake"}]')
    result = run("sandbox", "--faults", "faults.json")
    assert result.exit_code == 2
    assert "Known kinds: timeout" in result.output


@pytest.mark.slow
def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start("sandbox", "--markets", "1", "--port", str(taken.getsockname()[1]))
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "choose another with --port" in errors
