"""The environment that a command runs in.

Belongs here: the .env file of the working directory. Does not: settings (settings.py reads them
from the environment).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def env_file() -> Iterator[None]:
    """The .env file of the working directory in force, for the length of the block.

    As `dagster dev` has it, over what the shell says: the two must agree on the data folder and on
    the Dagster instance. The reader comes with dagster; without it there is nothing to agree with.
    """
    file = Path(".env")
    values: dict[str, str] = {}
    if file.is_file():
        try:
            from dotenv import dotenv_values
        except ImportError:
            pass
        else:
            values = {k: v for k, v in dotenv_values(file).items() if v is not None}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
