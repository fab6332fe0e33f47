"""The list of kinds of events is whole: the code writes no other, the documentation tells each."""

import re
from pathlib import Path
from typing import get_args

import pytest

from funding_pipeline.warehouse.event_kinds import MEANINGS, EventKind

PACKAGE = Path(__file__).resolve().parents[1] / "funding_pipeline"
DOCS = PACKAGE.parent / "docs" / "events.md"

# The statement from `INSERT INTO events` on, as far as its second value.
INSERT = re.compile(
    r"INSERT INTO events\b(?P<by_name> BY NAME)?(?:[^\x22]*?SELECT (?:\$now|\?), | VALUES \(\?, )?"
    r"(?P<kind>CASE .*? END|'[^']*'|\$kind)?",
    re.DOTALL,
)
WRITTEN = re.compile(r"(?:THEN|ELSE|^) ?'([^']*)'")


def test_every_kind_has_a_meaning() -> None:
    assert tuple(MEANINGS) == get_args(EventKind)
    assert all(meaning and not meaning.endswith(".") for meaning in MEANINGS.values())


def test_the_documentation_is_the_list() -> None:
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \|$", DOCS.read_text(), re.MULTILINE)
    assert dict(rows) == MEANINGS
    assert [kind for kind, _ in rows] == list(MEANINGS)


def inserts() -> list[tuple[str, "re.Match[str]"]]:
    """Every statement in the package that writes events, with where it stands."""
    found = []
    for path in sorted((*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.sql"))):
        text = path.read_text()
        for start in re.finditer(r"INSERT INTO events\b", text):
            match = INSERT.match(text, start.start())
            assert match is not None
            found.append((f"{path.name}:{text.count(chr(10), 0, start.start()) + 1}", match))
    return found


@pytest.mark.parametrize(("place", "match"), inserts(), ids=[place for place, _ in inserts()])
def test_what_sql_writes_is_in_the_list(place: str, match: "re.Match[str]") -> None:
    """Kinds that are passed in are typed: mypy refuses others."""
    if match["by_name"] or match["kind"] == "$kind":
        return
    assert match["kind"], f"{place}: which kind does it write?"
    written = WRITTEN.findall(match["kind"])
    assert written
    assert set(written) <= MEANINGS.keys()


def test_the_search_finds_the_statements() -> None:
    kinds = {kind for _, m in inserts() if m["kind"] for kind in WRITTEN.findall(m["kind"])}
    assert {"revised", "reinterpreted", "relisted", "delisted", "symbol collision"} <= kinds
    assert len(inserts()) >= 11
