"""What a person waits for before anything happens: imports, and `funding status` from cold.

Belongs here: whole processes, measured from outside by their CPU and wall time.
"""

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from funding_pipeline_tests.bench.figures import Figure

_ROUNDS = 5


def start_up_figures(data_dir: Path) -> Iterator[Figure]:
    """Seconds of a process that imports the definitions, and of `funding status` over `data_dir`,
    less what an empty interpreter takes.
    """
    nothing = _seconds("pass", data_dir)
    definitions = _seconds("import funding_pipeline.definitions", data_dir)
    status = _seconds(
        "from funding_pipeline.cli import main; main(['status'], standalone_mode=False)", data_dir
    )
    note = f"median of {_ROUNDS} processes, CPU; an interpreter alone takes {nothing:.2f} s"
    yield Figure("import of funding_pipeline.definitions", definitions, 1.5, "s", note)
    yield Figure("funding status, cold", status, 0.5, "s", note)


def _seconds(script: str, data_dir: Path) -> float:
    """CPU seconds, the interpreter's own included: unlike wall time they bear company."""
    environment = {**os.environ, "FUNDING_DATA_DIR": str(data_dir)}
    found = []
    for _ in range(_ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.DEVNULL, check=False
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(found)
