"""Settings from the environment (FUNDING_*), typed.

Belongs here: what an operator may choose, and the paths that follow from it. Does not: facts about
exchanges, constants of the method. Nothing is read at import.
"""

import os
import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from funding_pipeline.domain.windows import DEFAULT_WINDOWS, windows_hours


def _names(value: object) -> object:
    return (
        tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value
    )


def _urls(value: object) -> object:
    # A comma inside a URL separates nothing: mailto://…?to=a@b.c,d@e.f is one.
    if not isinstance(value, str):
        return value
    return tuple(filter(None, re.split(r"[\s,]+(?=[\w+.-]+://)", value.strip(" ,\n"))))


def _windows(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(windows_hours(names))


_OF_EXCHANGE = re.compile(r"FUNDING_([A-Z0-9_]+)_(PROXY|ORIGIN)")


def _of_exchanges() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {"PROXY": {}, "ORIGIN": {}}
    for name, value in os.environ.items():
        if value and (match := _OF_EXCHANGE.fullmatch(name)):
            found[match[2]][match[1].lower()] = value
    return found


class Settings(BaseSettings):
    """FUNDING_DATA_DIR, FUNDING_EXCHANGES (comma list), FUNDING_EXPERIMENTAL, FUNDING_SANDBOX_URL.

    Without a list all exchanges are collected whose facts are sure; FUNDING_EXPERIMENTAL=on adds
    the others. FUNDING_<EXCHANGE>_PROXY and FUNDING_<EXCHANGE>_ORIGIN (another host of the same
    API) say how one exchange is reached; HTTPS_PROXY and the like hold for all.

    FUNDING_LIMITS=off drops the client's own rate budget; it counts only with a sandbox, so that
    no exchange is ever asked without one.

    FUNDING_WINDOWS (comma list of hours or days, 24h,3d,7d,14d,30d by default) names the windows of
    the moving averages and of what is averaged across exchanges; a change has them all made anew.

    FUNDING_ALERT_URLS (comma list of addresses as Apprise writes them: tgram://, slack://,
    mailto:// ...) says who is told when something is wrong, FUNDING_ALERT_COOL_DOWN_HOURS how soon
    again while it lasts. FUNDING_PING_URL is asked after each publication of fresh data. Addresses
    are secrets.
    """

    model_config = SettingsConfigDict(env_prefix="FUNDING_", frozen=True)

    data_dir: Path = Path("data")
    exchanges: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = ()
    experimental: bool = False
    sandbox_url: str | None = None
    limits: bool = True
    windows: Annotated[
        tuple[str, ...], NoDecode, BeforeValidator(_names), AfterValidator(_windows)
    ] = DEFAULT_WINDOWS
    alert_urls: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_urls)] = ()
    alert_cool_down_hours: float = Field(default=6, gt=0)
    ping_url: SecretStr | None = None
    overrides: dict[str, dict[str, str]] = Field(default_factory=_of_exchanges, init=False)

    def of_exchange(self, what: Literal["PROXY", "ORIGIN"]) -> dict[str, str]:
        """What was set for single exchanges, by their names."""
        return self.overrides[what]

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
