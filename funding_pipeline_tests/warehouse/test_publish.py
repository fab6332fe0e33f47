"""Publication: one rename, nothing left over, readers of the old file undisturbed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from funding_pipeline.domain.records import Window
from funding_pipeline.warehouse import publish as publish_module
from funding_pipeline.warehouse import standby
from funding_pipeline.warehouse.database import Database
from funding_pipeline.warehouse.publish import publish
from funding_pipeline_tests.warehouse.world import at, collect, listed, register, series


def store(database: Database, start: int, end: int) -> None:
    with database.open() as connection:
        register(connection, listed("AAA"))
        history = {"AAA": series(range(start, end, 8))}
        collect(connection, history, Window(at(start), at(end)))


def published_rows(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        return int(connection.execute("SELECT count(*) FROM funding_rates").fetchall()[0][0])


def test_the_published_file_holds_what_was_merged(database: Database) -> None:
    store(database, 0, 80)
    publication = publish(database)
    assert publication.path == database.read_path
    assert publication.size_bytes == database.read_path.stat().st_size
    assert published_rows(database.read_path) == 10


def test_the_published_file_is_read_only_and_alone(database: Database) -> None:
    store(database, 0, 80)
    publish(database)
    publish(database)
    assert database.read_path.stat().st_mode & 0o777 == 0o444
    assert {f.name for f in database.path.parent.iterdir()} - {"history.duckdb.lock"} == {
        "history.duckdb",
        "read.duckdb",
        ".publish",
    }
    assert [f.name for f in (database.path.parent / ".publish").iterdir()] == ["standby.duckdb"]


def test_nothing_of_history_stays_in_its_wal(database: Database) -> None:
    """The copy is of the file alone: what were only in the WAL would be missing from it."""
    store(database, 0, 80)
    with database.open() as connection:
        connection.execute("SET wal_autocheckpoint = '1GB'")
        connection.execute("SET checkpoint_threshold = '1GB'")
    store(database, 80, 160)
    publish(database)
    assert published_rows(database.read_path) == 20


def test_an_open_reader_keeps_its_file_and_a_new_one_sees_the_new(database: Database) -> None:
    store(database, 0, 80)
    publish(database)
    with duckdb.connect(str(database.read_path), read_only=True) as old:
        assert old.execute("SELECT count(*) FROM settlements").fetchall() == [(10,)]
        store(database, 80, 160)
        publish(database)
        assert old.execute("SELECT count(*) FROM settlements").fetchall() == [(10,)]
        assert old.execute("SELECT max(rate) IS NULL FROM funding_rates").fetchall() == [(False,)]
        other = "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True)"
        other += ".execute('SELECT count(*) FROM settlements').fetchall())"
        seen = subprocess.run(
            [sys.executable, "-c", other, str(database.read_path)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert seen.stdout.strip() == "[(20,)]"


@pytest.mark.parametrize("step", ["copyfile", "sync"])
def test_a_publication_that_fails_half_way_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    store(database, 0, 80)
    publish(database)
    before = database.read_path.read_bytes()
    store(database, 80, 160)

    def half(source: Path, target: Path) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[:4096])
        raise OSError("disk full")

    def no_sync(_: Path) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        if step == "copyfile":
            patch.setattr(publish_module.shutil, "copyfile", half)
        else:
            patch.setattr(publish_module, "_sync", no_sync)
        with pytest.raises(OSError, match="disk full"):
            publish(database)
    assert database.read_path.read_bytes() == before
    assert not (database.path.parent / ".publish" / "syncing.duckdb").exists()
    publish(database)
    assert published_rows(database.read_path) == 20


def test_readers_never_see_a_file_that_is_not_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At every step of a publication read.duckdb is the old one or the new one."""
    store(database, 0, 80)
    publish(database)
    store(database, 80, 160)
    seen = []
    real = shutil.copyfile

    def watched(source: Path, target: Path) -> None:
        real(source, target)
        seen.append(published_rows(database.read_path))

    monkeypatch.setattr(publish_module.shutil, "copyfile", watched)
    publish(database)
    assert seen == [10]
    assert published_rows(database.read_path) == 20


def grown(database: Database) -> None:
    """Some ten blocks of history that no later publication has to write again."""
    store(database, 0, 80)
    with database.open() as connection:
        connection.execute("CREATE TABLE ballast AS SELECT hash(i) AS n FROM range(400_000) t(i)")
    publish(database)
    store(database, 80, 160)
    publish(database)


linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's leases of open files")


@linux
def test_from_the_third_publication_on_only_what_changed_is_written(database: Database) -> None:
    grown(database)
    for rows, end in ((30, 240), (40, 320), (50, 400)):
        store(database, end - 80, end)
        publication = publish(database)
        assert publication.written_bytes < publication.size_bytes / 2
        assert database.read_path.read_bytes() == database.path.read_bytes()
        assert published_rows(database.read_path) == rows


@linux
def test_a_file_that_shrank_or_grew_is_followed(database: Database) -> None:
    grown(database)
    with database.open() as connection:
        connection.execute("DROP TABLE ballast")
    publish(database)
    for statement in (
        "CREATE TABLE b AS SELECT hash(i) AS n FROM range(900_000) t(i)",
        "DROP TABLE b",
    ):
        with database.open() as connection:
            connection.execute(statement)
        publish(database)
        assert database.read_path.read_bytes() == database.path.read_bytes()


@linux
def test_a_reader_of_the_publication_before_the_last_is_left_alone(database: Database) -> None:
    """Its file would be the next to be written to: the whole history is copied instead."""
    grown(database)
    with duckdb.connect(str(database.read_path), read_only=True) as reader:
        assert reader.execute("SELECT count(*) FROM settlements").fetchall() == [(20,)]
        file = database.read_path.open("rb")
        before = file.read()
        store(database, 160, 240)
        publish(database)
        store(database, 240, 320)
        publication = publish(database)
        assert publication.written_bytes == publication.size_bytes
        file.seek(0)
        assert file.read() == before
        file.close()
        assert reader.execute("SELECT count(*), sum(rate) IS NULL FROM settlements").fetchall() == [
            (20, False)
        ]
    assert published_rows(database.read_path) == 40


@linux
def test_a_file_that_somebody_holds_open_is_not_written_to(database: Database) -> None:
    grown(database)
    other = database.path.with_name("other.duckdb")
    shutil.copyfile(database.read_path, other)
    before = other.read_bytes()
    store(database, 160, 240)
    with database.locked():
        with other.open("rb"):
            assert standby.update(database.path, other) is None
        assert other.read_bytes() == before
        assert standby.update(database.path, other) is not None
        assert other.read_bytes() == database.path.read_bytes()


@linux
@pytest.mark.parametrize("place", [8, 4096 + 40, 8192 + 40])
def test_files_of_another_kind_are_not_compared_block_by_block(
    database: Database, place: int
) -> None:
    """With smaller blocks most of what changed would be overlooked."""
    grown(database)
    other = database.path.with_name("other.duckdb")
    header = bytearray(database.path.read_bytes())
    header[place] ^= 1
    other.write_bytes(header)
    store(database, 160, 240)
    assert standby.update(database.path, other) is None
    assert other.read_bytes() == header


def test_a_publication_that_ends_before_its_rename_harms_nobody(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is then kept as the one before is the one that readers have."""
    grown(database)
    store(database, 160, 240)
    real = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if self.name == "syncing.duckdb":
            raise KeyboardInterrupt
        return real(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            publish(database)
    before = database.read_path.read_bytes()
    store(database, 240, 320)
    with monkeypatch.context() as patch:
        patch.setattr(standby.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            publish(database)
    assert database.read_path.read_bytes() == before
    publish(database)
    assert published_rows(database.read_path) == 40


@linux
def test_an_update_that_breaks_off_leaves_no_file_to_be_taken_for_whole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown(database)
    store(database, 160, 240)
    before = database.read_path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(standby.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            publish(database)
    assert database.read_path.read_bytes() == before
    publication = publish(database)
    assert publication.written_bytes == publication.size_bytes
    assert published_rows(database.read_path) == 30


def leave_a_wal(path: Path) -> bytes:
    """A process that writes into read.duckdb and dies: its row is in the WAL only."""
    script = """
import os, sys, duckdb
connection = duckdb.connect(sys.argv[1])
connection.execute("SET wal_autocheckpoint = '1GB'")
connection.execute("INSERT INTO events VALUES (now()::TIMESTAMP, 'ghost', 'x', NULL, 'y', NULL)")
os._exit(0)
"""
    path.chmod(0o644)
    subprocess.run([sys.executable, "-c", script, str(path)], timeout=60, check=True)
    return path.with_name(path.name + ".wal").read_bytes()


def ghosts(path: Path) -> int:
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute("SELECT count(*) FROM events WHERE kind = 'ghost'").fetchall()
    return int(found[0][0])


def test_a_stale_wal_is_never_replayed_onto_a_new_publication(database: Database) -> None:
    store(database, 0, 80)
    publish(database)
    assert leave_a_wal(database.read_path)
    store(database, 80, 160)
    publish(database)
    assert not database.read_path.with_name("read.duckdb.wal").exists()
    assert ghosts(database.read_path) == 0
    assert published_rows(database.read_path) == 20


def test_that_wal_would_be_replayed_if_it_were_left(database: Database) -> None:
    """Why the test above can fail: DuckDB takes the WAL of the former file for the new one's."""
    store(database, 0, 80)
    publish(database)
    wal = leave_a_wal(database.read_path)
    store(database, 80, 160)
    publish(database)
    database.read_path.with_name("read.duckdb.wal").write_bytes(wal)
    assert ghosts(database.read_path) == 1


def test_publishing_waits_for_a_writer(database: Database) -> None:
    """Inside somebody's lock nothing is copied: the copy is of a closed file."""
    store(database, 0, 80)
    script = (
        "import sys; from pathlib import Path\n"
        "from funding_pipeline.settings import Settings\n"
        "from funding_pipeline.warehouse import database as d\n"
        "from funding_pipeline.warehouse.publish import publish\n"
        "d.LOCK_TIMEOUT_S = 0.3\n"
        "publish(d.Database(Settings(data_dir=Path(sys.argv[1]))))\n"
    )
    project = str(Path(__file__).resolve().parents[2])
    with database.locked():
        blocked = subprocess.run(
            [sys.executable, "-c", script, str(database.path.parent)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": project},
        )
    assert "Timeout" in blocked.stderr
    assert not database.read_path.exists()
