"""A local server that speaks the exchanges' own wire formats, for development and tests offline.

Belongs here: the markets it serves (recorded or generated), one module per exchange that puts them
into that exchange's format, the rate limits, the faults on request, the server. Does not belong
here: anything the collector uses to read an exchange; the two sides share no code, so that a
mistake in one is not hidden by the same mistake in the other.

Layout: `market` (what is served) <- `recorded`, `generated` (where it comes from, with `noise`,
`prices`, `schedules`, `names`); `wire` (what an exchange module has to provide) <- one module per
exchange, `<exchange>_rows` for its long rows <- `registry`; `limits`, `faults` with `spoiling` and
`market_faults`, `app`, `server`. A new exchange is one module and one line in `registry`.
"""
