"""Ways to run commands: in this process or as a person does, in an empty folder, on a sandbox.

Belongs here: fixtures of the command line's tests.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from funding_pipeline.cli import main
from funding_pipeline.sandbox.faults import Fault, FaultPlan
from funding_pipeline.sandbox.generated import generate
from funding_pipeline.sandbox.registry import EXCHANGES
from funding_pipeline.sandbox.server import running_sandbox

Run = Callable[..., Result]
Serve = Callable[..., str]

COMMAND = [sys.executable, "-W", "error", "-c", "from funding_pipeline.cli import main; main()"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run where no .env of the checkout is in force; Python still finds the package.

    Two exchanges, of different intervals and page orders, suffice for the command line.
    """
    monkeypatch.setenv("FUNDING_EXCHANGES", "hyperliquid,bybit")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run() -> Run:
    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(main, arguments)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a sandbox that commands collect from; gives its address."""
    with ExitStack() as stack:

        def start(*faults: Fault, markets: int = 2) -> str:
            dataset = generate(EXCHANGES.values(), markets=markets)
            url = stack.enter_context(running_sandbox(dataset, faults=FaultPlan(list(faults))))
            monkeypatch.setenv("FUNDING_SANDBOX_URL", url)
            monkeypatch.setenv("FUNDING_LIMITS", "off")
            return url

        yield start


def requests(url: str) -> dict[str, Any]:
    """What the sandbox was asked since it started, by exchange and endpoint."""
    answer: dict[str, Any] = httpx.get(f"{url}/_requests", trust_env=False).json()
    return {exchange: counters["endpoints"] for exchange, counters in answer.items()}


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
