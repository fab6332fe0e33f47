"""Failures that a person can do something about, told in a sentence instead of a traceback.

Belongs here: recognising them. Does not: failures of exchanges (the engine words those) and
defects, which keep their traceback.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def plain_failures() -> Iterator[None]:
    """Turn expected failures of the block into messages; all others pass."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise  # click's own way out, --help among it
    except Exception as error:
        message = explanation(error)
        if message is None:
            raise
        raise click.ClickException(message) from None


def explanation(error: BaseException) -> str | None:
    """What went wrong and what helps, or None for a defect, also one among several."""
    if isinstance(error, BaseExceptionGroup):
        words = [explanation(member) for member in error.exceptions]
        return "; ".join(filter(None, words)) if all(words) else None
    # Imported late: they are loaded already where such an error comes from.
    import duckdb
    from filelock import Timeout
    from pydantic import ValidationError

    if isinstance(error, Timeout):  # before OSError, which it is as well
        return (
            f"gave up waiting for {error.lock_file}: another process keeps writing. "
            "Try again when it has ended."
        )
    if isinstance(error, BrokenPipeError):
        return None  # click ends quietly when nobody reads on
    if isinstance(error, OSError):
        return _system_words(error)
    if isinstance(error, duckdb.IOException):
        return str(error)
    if isinstance(error, ValidationError) and error.title == "Settings":
        return "; ".join(
            f"FUNDING_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()
        )
    return None


def _system_words(error: OSError) -> str:
    place = f": {error.filename}" if error.filename else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return f"the disk is full{place}. What was stored before is intact."
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return f"no permission{place}. Check the folder, or set FUNDING_DATA_DIR to another."
        case errno.EADDRINUSE:
            return "the port is taken; choose another with --port, or 0 for a free one"
        case _:
            return f"{error.strerror or error}{place}"
