"""Reading rates that others recorded: one module per source format, pure parsers.

Belongs here: from files of a format to rows in one shape. Does not: judging rows by an exchange's
declaration, storing them (warehouse.imports).
"""
