"""The words that arrive on a phone."""

from datetime import datetime, timedelta

from funding_pipeline.alerts.decide import Alert, Due, Finding
from funding_pipeline.alerts.message import compose, lines

NOW = datetime(2026, 3, 2, 18, 0)
BLOCKED = "blocked from this location"
STALE = Finding(
    "stale bybit", "bybit", "412 of 560 markets stale", "newest settlement 14:00 UTC", "warning"
)


def alert(finding: Finding, hours: float = 0, **more: object) -> Alert:
    return Alert(finding, NOW - timedelta(hours=hours), **more)  # type: ignore[arg-type]


def test_findings_of_one_exchange_share_a_line() -> None:
    status = Finding("status bybit", "bybit", BLOCKED)
    message = compose(Due(new=(alert(STALE), alert(status))), NOW)
    assert message.title == "Funding rates: 2 new problems"
    assert message.body == (
        "bybit: 412 of 560 markets stale, newest settlement 14:00 UTC; blocked from this location"
    )
    assert message.mood == "error"


def test_one_message_tells_what_is_new_what_lasts_and_what_is_over() -> None:
    other = Finding("status okx", "okx", "collecting fails", "okx: unreachable", "warning")
    over = Finding("derivation", "all", "a part of the derived tables is not new")
    message = compose(
        Due(
            (alert(STALE),),
            (alert(other, 7, told={"phone": NOW}),),
            (alert(over, 3, closed=NOW - timedelta(hours=1)),),
        ),
        NOW,
    )
    assert message.body.splitlines() == [
        "bybit: 412 of 560 markets stale, newest settlement 14:00 UTC",
        "",
        "Still open:",
        "okx: collecting fails, okx: unreachable (since 11:00 UTC)",
        "",
        "Over:",
        "a part of the derived tables is not new (after 2 h)",
    ]
    assert message.mood == "warning"


def test_headlines_and_moods() -> None:
    told = alert(STALE, 30, told={"phone": NOW})
    reminder = compose(Due(reminders=(told,)), NOW)
    assert reminder.title == "Funding rates: 1 problem still open"
    assert reminder.body.endswith("(since 01 Mar 12:00 UTC)")
    over = compose(Due(over=(alert(STALE, 72, closed=NOW), alert(STALE, 1, closed=NOW))), NOW)
    assert over.title == "Funding rates: 2 problems over"
    assert over.mood == "over"
    assert over.body.endswith("(after 3 days)")


def test_a_storm_stays_readable() -> None:
    storm = tuple(alert(Finding(f"s{n}", f"exchange{n:02}", "x" * 900)) for n in range(36))
    body = compose(Due(storm), NOW).body.splitlines()
    assert len(body) == 13
    assert body[-1] == "and 24 more: funding alerts tells all"
    assert max(map(len, body)) == 240


def test_errors_go_before_warnings() -> None:
    found = [
        alert(Finding("a", "apex", "late", severity="warning")),
        alert(Finding("z", "zeta", BLOCKED)),
    ]
    assert list(lines(found, NOW)) == [f"zeta: {BLOCKED}", "apex: late"]
