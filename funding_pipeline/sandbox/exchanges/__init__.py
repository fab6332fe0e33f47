"""One module per exchange: its listings, endpoints, order, page limits, stamps, errors and limits.

Belongs here: everything about one exchange's wire format, as its fact sheet says it. Does not
belong here: anything the collector uses to read that exchange.

A module that defines `EXCHANGE` is served; the others hold long rows or arithmetic of one exchange.
"""
