"""The journal on disk when the disk does not do as it should."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from aiops.config import MIB, JournalConfig
from aiops.domain.records import Command, CommandVerb, Record, Tick
from aiops.errors import JournalError
from aiops.journal.sqlite import GROUP_MAX, SqliteJournal

CONFIG = JournalConfig(sync="os")
PAGE_BYTES = 4096


def journal_at(directory: Path, config: JournalConfig = CONFIG) -> SqliteJournal:
    return SqliteJournal(directory / "journal.db", config, CollectorRegistry())


def note(n_bytes: int) -> Command:
    return Command(CommandVerb.RESOLVE, "inc-1-0", "ada", "x" * n_bytes)


def limit_pages(journal: SqliteJournal, n_free: int) -> None:
    """Let the disk hold no more than some further pages, so that SQLite says it is full."""
    used = journal._connection.execute("PRAGMA page_count").fetchone()[0]
    journal._connection.execute(f"PRAGMA max_page_count={used + n_free}")


def free_disk(journal: SqliteJournal) -> None:
    journal._connection.execute("PRAGMA max_page_count=1000000")


def replayed(directory: Path) -> list[Record]:
    with closing(journal_at(directory)) as journal:
        return list(journal.replay(0))


class Gate:
    """Takes records as the engine does, and can hold the journal's thread up meanwhile."""

    def __init__(self) -> None:
        self.seen: list[Record] = []
        self.groups: list[int] = []
        self.is_entered = threading.Event()
        self.may_go = threading.Event()
        self.may_go.set()

    def __call__(self, records: list[Record]) -> None:
        self.seen.extend(records)
        self.groups.append(len(records))
        self.is_entered.set()
        assert self.may_go.wait(10)


async def outcomes_of(*appends) -> list[int | BaseException]:
    return await asyncio.gather(*appends, return_exceptions=True)


def test_appends_that_come_during_a_commit_share_the_next_one(tmp_path):
    gate = Gate()

    async def run(journal: SqliteJournal) -> None:
        gate.may_go.clear()
        first = asyncio.create_task(journal.append(Tick(), accepted_ms=1))
        await asyncio.to_thread(gate.is_entered.wait, 10)
        others = [asyncio.create_task(journal.append(Tick(), accepted_ms=2)) for _ in range(300)]
        await asyncio.sleep(0)  # all have been put into the inbox now
        gate.may_go.set()
        await asyncio.gather(first, *others)

    with closing(journal_at(tmp_path)) as journal:
        journal.start(gate)
        asyncio.run(run(journal))
    assert gate.groups == [1, GROUP_MAX, 300 - GROUP_MAX]


def test_a_full_disk_fails_those_who_wait_and_loses_nothing_acknowledged(tmp_path):
    async def run(journal: SqliteJournal) -> list[int | BaseException]:
        outcomes: list[int | BaseException] = []
        limit_pages(journal, 8)
        for _ in range(20):
            outcomes += await outcomes_of(journal.append(note(5000), accepted_ms=1))
        return outcomes

    with closing(journal_at(tmp_path)) as journal:
        journal.start(lambda _: None)
        outcomes = asyncio.run(run(journal))
        assert not journal.is_healthy
    acknowledged = [outcome for outcome in outcomes if isinstance(outcome, int)]
    refused = [outcome for outcome in outcomes if isinstance(outcome, JournalError)]
    assert acknowledged and len(acknowledged) + len(refused) == 20
    assert [record.seq for record in replayed(tmp_path)] == acknowledged


def test_the_journal_recovers_by_itself_and_numbers_on_without_a_gap(tmp_path):
    gate = Gate()

    async def run(journal: SqliteJournal) -> list[int]:
        limit_pages(journal, 2)
        with pytest.raises(JournalError, match="cannot be written"):
            await journal.append(note(100_000), accepted_ms=1)
        assert not journal.is_healthy
        free_disk(journal)
        await asyncio.sleep(0)  # until all callers know
        return [await journal.append(note(100_000), accepted_ms=2) for _ in range(3)]

    with closing(journal_at(tmp_path)) as journal:
        journal.start(gate)
        assert asyncio.run(run(journal)) == [1, 2, 3]
        assert journal.is_healthy
    assert [record.seq for record in gate.seen] == [1, 2, 3]
    assert replayed(tmp_path) == gate.seen


def test_what_was_appended_behind_a_failed_record_fails_as_well(tmp_path):
    """A batch may rely on the one before it, which announced its series."""
    gate = Gate()

    async def run(journal: SqliteJournal) -> list[int | BaseException]:
        gate.may_go.clear()
        first = asyncio.create_task(journal.append(Tick(), accepted_ms=1))
        await asyncio.to_thread(gate.is_entered.wait, 10)
        limit_pages(journal, 2)
        bodies = [note(100_000), *[Tick()] * (2 * GROUP_MAX)]  # more than one group
        waiting = [asyncio.create_task(journal.append(body, accepted_ms=2)) for body in bodies]
        await asyncio.sleep(0)
        gate.may_go.set()
        await first
        return await outcomes_of(*waiting)

    with closing(journal_at(tmp_path)) as journal:
        journal.start(gate)
        outcomes = asyncio.run(run(journal))
    assert all(isinstance(outcome, JournalError) for outcome in outcomes)
    assert [record.seq for record in replayed(tmp_path)] == [1]


def test_a_caller_told_of_a_failure_may_append_again_at_once(tmp_path):
    async def run(journal: SqliteJournal) -> int:
        limit_pages(journal, 2)
        with pytest.raises(JournalError):
            await journal.append(note(100_000), accepted_ms=1)
        with pytest.raises(JournalError, match="send again"):
            # Other callers may not know yet, whatever this one does.
            await journal.append(Tick(), accepted_ms=1)
        await asyncio.sleep(0)
        return await journal.append(Tick(), accepted_ms=1)

    with closing(journal_at(tmp_path)) as journal:
        journal.start(lambda _: None)
        assert asyncio.run(run(journal)) == 1


def test_a_cancelled_caller_does_not_stop_the_others(tmp_path):
    gate = Gate()

    async def run(journal: SqliteJournal) -> int:
        gate.may_go.clear()
        task = asyncio.create_task(journal.append(Tick(), accepted_ms=1))
        await asyncio.to_thread(gate.is_entered.wait, 10)
        task.cancel()
        gate.may_go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await journal.append(Tick(), accepted_ms=2)

    with closing(journal_at(tmp_path)) as journal:
        journal.start(gate)
        assert asyncio.run(run(journal)) == 2


def test_a_full_journal_refuses_and_names_its_setting_until_it_is_trimmed(tmp_path):
    config = JournalConfig(sync="os", bytes_max=16 * MIB)

    async def run(journal: SqliteJournal) -> int:
        while journal._used_bytes <= config.bytes_max:
            await journal.append(note(MIB), accepted_ms=1)
        with pytest.raises(JournalError, match=r"journal\.bytes_max"):
            await journal.append(Tick(), accepted_ms=1)
        last_seq = journal.last_seq()
        journal.trim(last_seq)
        await asyncio.to_thread(wait_until, lambda: journal._used_bytes < MIB)
        assert await journal.append(Tick(), accepted_ms=2) == last_seq + 1
        return last_seq

    with closing(journal_at(tmp_path, config)) as journal:
        journal.start(lambda _: None)
        assert 15 <= asyncio.run(run(journal)) <= 17


def wait_until(is_so) -> None:
    """Give the journal's thread the processor until it has got somewhere."""
    pause = threading.Event()
    for _ in range(2000):
        if is_so():
            return
        pause.wait(0.005)
    pytest.fail("the thread did not get there")


def test_a_callback_that_fails_stops_the_journal_and_nobody_waits_for_ever(tmp_path):
    def broken(_: list[Record]) -> None:
        raise MemoryError

    async def run(journal: SqliteJournal) -> None:
        outcomes = await outcomes_of(*(journal.append(Tick(), accepted_ms=n) for n in range(3)))
        assert all(isinstance(outcome, JournalError) for outcome in outcomes)
        await asyncio.to_thread(wait_until, lambda: not journal.is_healthy)
        with pytest.raises(JournalError):
            await journal.append(Tick(), accepted_ms=9)

    with closing(journal_at(tmp_path)) as journal:
        journal.start(broken)
        asyncio.run(run(journal))


def test_close_commits_what_waits(tmp_path):
    async def run(journal: SqliteJournal) -> list[int]:
        waiting = [asyncio.create_task(journal.append(Tick(), accepted_ms=n)) for n in range(50)]
        await asyncio.sleep(0)
        await asyncio.to_thread(journal.close)
        return await asyncio.gather(*waiting)

    journal = journal_at(tmp_path)
    journal.start(lambda _: None)
    assert asyncio.run(run(journal)) == list(range(1, 51))
    assert len(replayed(tmp_path)) == 50


def filled(directory: Path, n_records: int = 5) -> Path:
    async def run(journal: SqliteJournal) -> None:
        for n in range(n_records):
            await journal.append(note(100), accepted_ms=n)

    with closing(journal_at(directory)) as journal:
        journal.start(lambda _: None)
        asyncio.run(run(journal))
    return directory / "journal.db"


def test_a_missing_record_in_the_middle_is_noticed(tmp_path):
    with closing(sqlite3.connect(filled(tmp_path), isolation_level=None)) as connection:
        connection.execute("DELETE FROM log WHERE seq = 3")
    with pytest.raises(JournalError, match="lacks record 3"):
        replayed(tmp_path)


def test_a_damaged_record_is_noticed(tmp_path):
    with closing(sqlite3.connect(filled(tmp_path), isolation_level=None)) as connection:
        connection.execute("UPDATE log SET data = CAST(data || 'x' AS BLOB) WHERE seq = 2")
    with pytest.raises(JournalError, match="record 2 is damaged"):
        replayed(tmp_path)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path):
    (tmp_path / "journal.db").write_bytes(b"no database" * 1000)
    with pytest.raises(JournalError, match=r"journal\.db cannot be opened"):
        journal_at(tmp_path)


def test_broken_pages_are_a_journal_error_not_a_crash(tmp_path):
    path = filled(tmp_path, 200)
    data = bytearray(path.read_bytes())
    for start in range(3 * PAGE_BYTES, len(data), PAGE_BYTES):
        data[start : start + 100] = b"\xff" * 100
    path.write_bytes(bytes(data))
    with pytest.raises(JournalError):
        replayed(tmp_path)


def test_a_newer_schema_is_refused(tmp_path):
    with closing(sqlite3.connect(filled(tmp_path))) as connection:
        connection.execute("PRAGMA user_version=99")
    with pytest.raises(JournalError, match="newer aiops"):
        journal_at(tmp_path)
