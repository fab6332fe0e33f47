"""Settings from the environment (FUNDING_*), typed.

Belongs here: what an operator may choose, and the paths that follow from it. Does not: facts about
exchanges, constants of the method. Nothing is read at import.
"""

from functools import cached_property
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


def _names(value: object) -> object:
    return (
        tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
    )


class Settings(BaseSettings):
    """FUNDING_DATA_DIR, FUNDING_EXCHANGES (comma list, all by default), FUNDING_SANDBOX_URL.

    FUNDING_LIMITS=off drops the client's own rate budget; it counts only with a sandbox, so that
    no exchange is ever asked without one.
    """

    model_config = SettingsConfigDict(env_prefix="FUNDING_", frozen=True)

    data_dir: Path = Path("data")
    exchanges: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    sandbox_url: str | None = None
    limits: bool = True

    @cached_property
    def history_path(self) -> Path:
        """The database that is written."""
        return self.data_dir / "history.duckdb"

    @cached_property
    def read_path(self) -> Path:
        """The published database that everybody reads."""
        return self.data_dir / "read.duckdb"

    @cached_property
    def budget_dir(self) -> Path | None:
        """Where the rate budget shared by all processes lives; None where no limits apply."""
        if self.sandbox_url and not self.limits:
            return None
        return self.data_dir / ".budget"
