"""Every fault against every exchange; the table itself is printed by `make faults`."""

import pytest

from funding_pipeline_tests.end_to_end.fault_matrix import (
    FAULTS,
    Rows,
    impatient,
    run_fault,
    truth,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def right() -> dict[str, Rows]:
    return truth()


@pytest.mark.parametrize("kind", FAULTS)
def test_no_fault_loses_doubles_or_falsifies_a_row(kind: str, right: dict[str, Rows]) -> None:
    if kind == "timeout":
        with impatient():
            cells = run_fault(kind, right)
    else:
        cells = run_fault(kind, right)
    assert all(verdict.startswith("ok") for verdict in cells.values()), cells
