"""Who is told of what, and when."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from funding_pipeline.alerts.decide import (
    SETTLED,
    Alert,
    Finding,
    after_look,
    after_telling,
    due,
)

START = datetime(2026, 3, 2, 14, 0)
COOL_DOWN = timedelta(hours=6)
MINUTE = timedelta(minutes=1)
STALE = Finding("stale bybit", "bybit", "412 of 560 markets stale")
CHECK = Finding("check okx x", "okx", "check x fails", severity="warning")
NEWS = Finding("given up okx 1", "okx", "gaps given up", severity="warning", once=True)


class Channels:
    """Looks at given times; what each channel heard, as letters: New, Reminder, Over."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.alerts: list[Alert] = []
        self.dead: set[str] = set()

    def look(self, now: datetime, *found: Finding) -> dict[str, str]:
        self.alerts = after_look(self.alerts, found, self.names, now)
        heard = {}
        for name in self.names:
            told = due(self.alerts, name, now, COOL_DOWN)
            if told and name not in self.dead:
                heard[name] = "N" * len(told.new) + "R" * len(told.reminders) + "O" * len(told.over)
                self.alerts = after_telling(self.alerts, told, name, now)
        return heard


def test_a_finding_is_told_once_and_again_after_the_cool_down() -> None:
    phone = Channels("phone")
    assert phone.look(START, STALE) == {"phone": "N"}
    assert phone.look(START + MINUTE, STALE) == {}
    assert phone.look(START + COOL_DOWN - MINUTE, STALE) == {}
    assert phone.look(START + COOL_DOWN, STALE) == {"phone": "R"}
    assert phone.look(START + COOL_DOWN + MINUTE, STALE) == {}
    assert phone.look(START + 2 * COOL_DOWN, STALE) == {"phone": "R"}


def test_several_findings_come_together_and_so_do_their_reminders() -> None:
    phone = Channels("phone")
    assert phone.look(START, STALE) == {"phone": "N"}
    assert phone.look(START + 60 * MINUTE, STALE, CHECK) == {"phone": "N"}
    assert phone.look(START + COOL_DOWN, STALE, CHECK) == {"phone": "RR"}
    assert phone.look(START + COOL_DOWN + 60 * MINUTE, STALE, CHECK) == {}


def test_its_end_is_told_once_when_it_has_been_gone_for_a_while() -> None:
    phone = Channels("phone")
    phone.look(START, STALE)
    assert phone.look(START + MINUTE) == {}
    assert phone.look(START + MINUTE + SETTLED - MINUTE) == {}
    assert phone.look(START + MINUTE + SETTLED) == {"phone": "O"}
    assert phone.look(START + MINUTE + 2 * SETTLED) == {}
    (alert,) = phone.alerts
    assert alert.closed == START + MINUTE, "since when it was gone, not when that was believed"


def test_what_comes_and_goes_is_told_once() -> None:
    phone = Channels("phone")
    heard = [phone.look(START + n * MINUTE, *([STALE] if n % 2 else [])) for n in range(60)]
    assert [told for told in heard if told] == [{"phone": "N"}]


def test_what_comes_back_after_its_end_is_new() -> None:
    phone = Channels("phone")
    phone.look(START, STALE)
    phone.look(START + MINUTE)
    phone.look(START + MINUTE + SETTLED)
    assert phone.look(START + 2 * SETTLED, STALE) == {"phone": "N"}
    assert len(phone.alerts) == 2


def test_what_gets_worse_is_told_at_once_and_what_gets_better_is_not() -> None:
    phone = Channels("phone")
    worse = Finding(CHECK.key, "okx", "check x fails", severity="error")
    phone.look(START, CHECK)
    assert phone.look(START + MINUTE, worse) == {"phone": "N"}
    assert phone.look(START + 2 * MINUTE, worse) == {}
    assert phone.look(START + 3 * MINUTE, CHECK) == {}


def test_a_changed_detail_is_no_news_but_kept() -> None:
    phone = Channels("phone")
    phone.look(START, STALE)
    more = Finding(STALE.key, "bybit", "430 of 560 markets stale")
    assert phone.look(START + MINUTE, more) == {}
    assert phone.alerts[0].finding == more


def test_an_occurrence_has_neither_reminder_nor_end() -> None:
    phone = Channels("phone")
    assert phone.look(START, NEWS) == {"phone": "N"}
    assert phone.look(START + 2 * COOL_DOWN, NEWS) == {}
    phone.look(START + 2 * COOL_DOWN + MINUTE)
    assert phone.look(START + 2 * COOL_DOWN + SETTLED + MINUTE) == {}
    assert phone.alerts[0].closed and not phone.alerts[0].told


def test_a_dead_channel_hears_later_and_the_others_nothing_twice() -> None:
    both = Channels("phone", "slack")
    both.dead = {"slack"}
    assert both.look(START, STALE) == {"phone": "N"}
    assert both.look(START + MINUTE, STALE) == {}
    both.dead = set()
    assert both.look(START + 2 * MINUTE, STALE) == {"slack": "N"}
    both.dead = {"slack"}
    both.look(START + 3 * MINUTE)
    assert both.look(START + 3 * MINUTE + SETTLED) == {"phone": "O"}
    both.dead = set()
    assert both.look(START + 4 * MINUTE + SETTLED) == {"slack": "O"}


def test_a_channel_that_was_never_told_hears_of_no_end() -> None:
    both = Channels("phone", "slack")
    both.dead = {"slack"}
    both.look(START, STALE)
    both.look(START + MINUTE)
    both.dead = set()
    assert both.look(START + MINUTE + SETTLED) == {"phone": "O"}


def test_a_channel_that_is_gone_is_forgotten_and_a_new_one_hears_what_lasts() -> None:
    both = Channels("phone", "slack")
    both.look(START, STALE)
    both.names = ("phone", "mail")
    assert both.look(START + MINUTE, STALE) == {"mail": "N"}
    assert set(both.alerts[0].told) == {"phone", "mail"}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=80))
def test_every_end_that_is_told_was_told_as_a_beginning(looks: Iterable[tuple[bool, bool]]) -> None:
    """Whatever comes, goes and fails: a channel hears new, then over, then new ..., and reminders
    between them alone.
    """
    phone = Channels("phone")
    heard = ""
    for n, (found, dead) in enumerate(looks):
        phone.dead = {"phone"} if dead else set()
        now = START + n * timedelta(minutes=7)
        heard += phone.look(now, *([STALE] if found else [])).get("phone", "")
    lasting = False
    for letter in heard.replace("NO", "N,O"):
        if letter == "N":
            lasting = True
        elif letter in "RO":
            assert lasting
            lasting = letter == "R"


def test_a_channel_that_missed_the_end_is_not_told_the_beginning_twice() -> None:
    phone = Channels("phone")
    phone.look(START, STALE)
    phone.look(START + MINUTE)
    phone.dead = {"phone"}
    phone.look(START + MINUTE + SETTLED)
    phone.dead = set()
    assert phone.look(START + 20 * MINUTE, STALE) == {}
    phone.look(START + 21 * MINUTE)
    assert phone.look(START + 21 * MINUTE + SETTLED) == {"phone": "O"}
