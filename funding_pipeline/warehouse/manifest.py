"""The manifest of an exported dataset: what lies in it, and proof that it still does.

Belongs here: its form, reading and checking it. Does not: writing the data files (warehouse.
dataset), what an import makes of them (imports).
"""

import hashlib
from datetime import datetime
from pathlib import Path, PurePosixPath

import msgspec

from funding_pipeline.domain.records import Market

NAME = "manifest.json"
FORMAT = "funding-pipeline dataset"
VERSION = 1
_CHUNK = 1 << 20


class ManifestError(ValueError):
    """There is no manifest that fits, or the files are not what it says; the message tells."""


class Column(msgspec.Struct, frozen=True):
    """A column of the data files, with what its numbers are in."""

    name: str
    type: str
    unit: str | None = None


class DataFile(msgspec.Struct, frozen=True):
    """One file. `path` is relative, times naive UTC; sha256 and bytes are of the file itself."""

    path: str
    rows: int
    min_time: datetime
    max_time: datetime
    sha256: str
    bytes: int


class Filters(msgspec.Struct, frozen=True):
    """What was asked for: UTC days, both included; empty means all."""

    first_day: str | None = None
    last_day: str | None = None
    exchanges: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()


class ListedMarket(Market, frozen=True, kw_only=True):
    """A market of the dataset, so that one that is unknown elsewhere keeps its meaning."""

    exchange: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about a dataset. `derived`: columns left out, and what gives them back."""

    format: str = FORMAT
    version: int = VERSION
    created: datetime
    origin: str | None
    table: str
    partitioned_by: tuple[str, ...]
    sorted_by: tuple[str, ...]
    rows: int
    bytes: int
    columns: tuple[Column, ...]
    derived: dict[str, str]
    filters: Filters
    files: tuple[DataFile, ...]
    markets: tuple[ListedMarket, ...] = ()


class _Kind(msgspec.Struct):
    format: str
    version: int


def encode(manifest: Manifest) -> bytes:
    """As indented JSON, for people as well."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1)


def read(folder: Path) -> Manifest:
    """The manifest of a dataset; ManifestError where there is none that this version reads."""
    path = folder / NAME
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(
            f"{folder} holds no {NAME}: no dataset of ours, or not all of it"
        ) from None
    try:
        kind = msgspec.json.decode(text, type=_Kind)
        if kind.format != FORMAT:
            raise ManifestError(f"{path} is the manifest of something else: {kind.format}")
        if kind.version > VERSION:
            raise ManifestError(f"{path}: version {kind.version} is newer than this program")
        manifest = msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:
        raise ManifestError(f"{path} cannot be read: {error}") from None
    for file in manifest.files:
        # A path comes from a file that anybody may have written.
        parts = PurePosixPath(file.path)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts:
            raise ManifestError(f"{path}: {file.path} lies outside the dataset")
    return manifest


def verify(folder: Path, manifest: Manifest) -> None:
    """ManifestError unless every file is there and byte for byte what the manifest says."""
    for file in manifest.files:
        path = folder / file.path
        if not path.is_file():
            raise ManifestError(f"{path} is missing")
        if path.stat().st_size != file.bytes:
            raise ManifestError(f"{path} has {path.stat().st_size:,} bytes, not {file.bytes:,}")
        if sha256(path) != file.sha256:
            raise ManifestError(f"{path} is damaged: its checksum is not the manifest's")


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
