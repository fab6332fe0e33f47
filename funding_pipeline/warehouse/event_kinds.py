"""The kinds of events: the one list of what `events.kind` may say, and what each means.

Belongs here: names and meanings; docs/events.md shows them, held to this by a test. Does not:
writing events (ledger, and the SQL that notices).
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

EventKind: TypeAlias = Literal[
    "collected",
    "revised",
    "reinterpreted",
    "late stamp",
    "quarantined",
    "dropped",
    "gap found",
    "gap filled",
    "gap given up",
    "gap asked for again",
    "listed",
    "delisted",
    "unlisted",
    "relisted",
    "renamed",
    "identity changed",
    "interval changed",
    "cap changed",
    "symbol collision",
    "imported",
    "imported market",
    "import differs",
    "market failed",
    "run failed",
    "breaker opened",
    "breaker closed",
    "held",
    "released",
    "volume",
    "alert sent",
]

MEANINGS: Final[Mapping[EventKind, str]] = {
    "collected": "a load of an exchange brought settlements that were not known",
    "revised": "the exchange sent another rate for settlements that were stored",
    "reinterpreted": "the funding period of stored settlements was decided anew",
    "late stamp": "a settlement's stamp lies more than two minutes after its hour",
    "quarantined": "rows failed a check and wait for a person",
    "dropped": "a person threw quarantined rows away",
    "gap found": "settlements that are expected are missing",
    "gap filled": "settlements that were missing are stored now",
    "gap given up": "missing settlements cannot be had and are not asked for any more",
    "gap asked for again": "a person wants gaps asked for that were given up",
    "listed": "a market is new on its exchange's list",
    "delisted": "the exchange shows a market as delisted",
    "unlisted": "a market is gone from its exchange's list",
    "relisted": "a market that had left its exchange's list is live again",
    "renamed": "a market continues another one under a new name",
    "identity changed": "a market's symbol, multiplier or asset class is another one now",
    "interval changed": "an exchange declares another funding period for a market",
    "cap changed": "an exchange declares another highest or lowest rate for a market",
    "symbol collision": "one ticker means different assets on different exchanges",
    "imported": "settlements recorded elsewhere were added",
    "imported market": "an import brought a market that no list had told of",
    "import differs": "imported rates differ from those that the exchange sent, which stand",
    "market failed": "one market of a load could not be asked; the others are stored",
    "run failed": "a run of Dagster failed, or its process is gone",
    "breaker opened": "an exchange failed three times in a row and is left alone for a while",
    "breaker closed": "an exchange that was left alone answers again",
    "held": "a canary doubts an exchange's numbers: stored, but left out of what is derived",
    "released": "a person, or a better rule, cleared what was held or quarantined",
    "volume": "a load brought far fewer rows or markets than the days before",
    "alert sent": "a person was told",
}
