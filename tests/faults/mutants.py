"""Rules broken on purpose, one by one, in a copy of the project: the test named must notice.

    python -m tests.faults.mutants [RULE …]

`MUTANTS` is the table: rule, how it is broken, the test that notices. Beside these, two rules that
look needed are not. The generation in which a block was fetched need not be compared: its offsets
decide (app/kafka/task.py). Giving back a fetch that a rebalance overtook is needed for the
changelog alone: tasks would ask for lines again by themselves. That tasks take no block beyond a
hole shows in their own test; from outside seldom, since hardly anything makes holes. And it is
enough that tasks are closed when partitions come, or when they go: fencing does the rest.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

__all__: list[str] = []

ROOT = Path(__file__).parents[2]
COPIED = ("app", "agents", "tables", "tests", "pyproject.toml", "README.md")

FAULTS = "tests/faults/test_faults.py::"
WRITER = "tests/integration/test_kafka_writer.py::"
TASKS = "tests/unit/kafka/test_stage.py::"


class Mutant(NamedTuple):
    """A rule, the place that keeps it, what stands there instead, and the test that must fail."""

    rule: str
    file: str
    kept: str
    broken: str
    test: str


MUTANTS = [
    Mutant(
        "fence, then read the offset",
        "app/kafka/producer.py",
        """                await producer.start()
                self.position = await self.offsets.read(self.source)
""",
        """                self.position = await self.offsets.read(self.source)
                await producer.start()
""",
        f"{WRITER}test_the_offset_that_an_opened_producer_reads_is_final",
    ),
    Mutant(
        "one name for all writers of a partition",
        "app/kafka/stage.py",
        'f"{self._group}-{self.name}-{partition}",',
        'f"{self._group}-{self.name}-{partition}-{id(self)}",',
        f"{FAULTS}test_zombie",
    ),
    Mutant(
        "records and offset in one transaction",
        "app/kafka/producer.py",
        "        if offset is not None:\n            waits.append(\n",
        """        if offset is not None:
            await asyncio.gather(*waits)
            await producer.commit_transaction.__wrapped__(producer)
            await producer.begin_transaction()
            waits.append(
""",
        f"{FAULTS}test_points_in_the_code[writer.sent:5+count.committed:3:SIGSTOP]",
    ),
    Mutant(
        "an unclear commit is cleared up",
        "app/kafka/producer.py",
        "if offset is not None and found.offset == offset:",
        "if offset is not None and found.offset == offset + 1:",
        f"{WRITER}test_a_commit_whose_answer_is_lost_takes_effect_once[True]",
    ),
    Mutant(
        "read committed data only",
        "app/kafka/transport.py",
        '"read_committed"',
        '"read_uncommitted"',
        f"{FAULTS}test_points_in_the_code[writer.sent:5+count.committed:3:SIGSTOP]",
    ),
    Mutant(
        "no holes",
        "app/kafka/task.py",
        "        if block.first > self.next_offset:\n            return False\n",
        "",
        f"{TASKS}test_offsets_come_once_and_in_order_whatever_is_fetched",
    ),
    Mutant(
        "what was done is done",
        "app/kafka/task.py",
        "        if block.next <= self.next_offset:",
        "        if block.next < 0:",
        f"{TASKS}test_offsets_come_once_and_in_order_whatever_is_fetched",
    ),
    Mutant(
        "what was fetched is handed on or read again",
        "app/kafka/transport.py",
        "                await self._give_back(partition, batches[0].first, batches[-1].next)\n",
        "                pass\n",
        f"{FAULTS}test_killed_workers",
    ),
    Mutant(
        "the watermark is read with the offset",
        "agents/split.py",
        "watermark = int(task.metadata or NO_WATERMARK)",
        "watermark = NO_WATERMARK",
        "tests/unit/agents/test_split.py",
    ),
    Mutant(
        "the watermark is written with the offset",
        "agents/split.py",
        "blocks[-1].next, str(split.watermark)",
        'blocks[-1].next, ""',
        "tests/unit/agents/test_split.py",
    ),
    Mutant(
        "RocksDB follows the commit",
        "agents/checkpointing.py",
        """                end = await self._commit(task, change.puts, pending.offset)
""",
        """                changelog = TopicPartition(self._changelog, task.partition)
                at = self._table.store.persisted_offset(changelog)
                self._table.databases.write(task.partition, change.puts, -1 if at is None else at)
                end = await self._commit(task, change.puts, pending.offset)
""",
        "tests/unit/agents/test_checkpointing.py",
    ),
    Mutant(
        "rows and changelog offset in one batch",
        "tables/databases.py",
        "        batch.put(OFFSET, str(offset).encode())\n",
        "",
        f"{FAULTS}test_killed_workers",
    ),
    Mutant(
        "a new owner flushes what was not flushed",
        "tables/word_counts.py",
        "lacking = [start for start, of_window in totals.items() if of_window.version > flushed]",
        "lacking: list[int] = []",
        f"{FAULTS}test_points_in_the_code[store.recovered:1+flush.taken:3]",
    ),
    Mutant(
        "the newest version of a row wins",
        "app/cassandra/rows.py",
        'options = [] if settings.output_if_not_exists else ["TIMESTAMP ?"]',
        "options: list[str] = []",
        "tests/integration/test_cassandra_writer.py::test_an_older_count_that_comes_later_loses",
    ),
    Mutant(
        "versions grow where clocks differ",
        "tables/checkpoint.py",
        "version = max(time.time_ns() // 1000, state.version + 1)",
        "version = time.time_ns() // 1000",
        "tests/unit/tables/test_word_counts.py",
    ),
    Mutant(
        "tasks end when the group rebalances",
        "app/worker/rebalance.py",
        "        for stage in self._stages:\n            await stage.close(drain=drain)\n",
        "        for stage in self._stages * drain:\n            await stage.close(drain=drain)\n",
        f"{FAULTS}test_rolling_restart",
    ),
    Mutant(
        "tasks wait for recovery",
        "app/worker/application.py",
        "self.on_rebalance_complete.connect(self._start_tasks)",
        "self.on_partitions_assigned.connect(self._start_tasks)",
        f"{FAULTS}test_killed_workers",
    ),
    Mutant(
        "lines that are gone are passed over",
        "app/kafka/stage.py",
        "            task.reset_to(offsets.log_start)\n",
        "            pass\n",
        "tests/integration/test_gone_records.py",
    ),
    Mutant(
        "a coordinator that loads is asked again",
        "app/kafka/offsets.py",
        """            raise for_code(response.error_code)(f"offsets of group {self._group}")
""",
        """            return OffsetAndMetadata(-1, "")
""",
        "tests/integration/test_committed_offsets.py",
    ),
    Mutant(
        "nothing is begun anew beside counts that are there",
        "app/worker/rebalance.py",
        "            self._refuse_lost_offsets()\n",
        "",
        "tests/integration/test_gone_records.py::test_offsets_that_are_gone_stop_a_worker",
    ),
    Mutant(
        "checkpoints reserve the rows that they make dirty",
        "tables/row_quota.py",
        "            self._reserved += cost\n",
        "",
        "tests/unit/tables/test_word_counts.py",
    ),
]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Break rules; the tests must notice.")
    parser.add_argument("rules", nargs="*", help="parts of the names of rules; all, if none")
    parser.add_argument("--logs", type=Path, default=ROOT / "build" / "mutants")
    return parser.parse_args()


def _notices(mutant: Mutant, number: int, logs: Path) -> bool:
    """Whether the test fails once the rule is broken."""
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, copy / name, ignore=ignored)
            else:
                shutil.copy(source, copy / name)
        file = copy / mutant.file
        text = file.read_text(encoding="utf-8")
        assert text.count(mutant.kept) == 1, f"{mutant.rule}: {mutant.file} has changed"
        file.write_text(text.replace(mutant.kept, mutant.broken), encoding="utf-8")
        with (logs / f"{number:02}.log").open("wb") as log:
            ended = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-x", mutant.test],
                cwd=copy,
                env={**os.environ, "PYTHONPATH": str(copy)},
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        # 1: a test failed; anything else is no finding of a test's.
        return ended.returncode == 1


def main() -> int:
    """Try the mutants; 1 if one of them was not noticed."""
    arguments = _arguments()
    arguments.logs.mkdir(parents=True, exist_ok=True)
    missed = 0
    for number, mutant in enumerate(MUTANTS):
        if arguments.rules and not any(part in mutant.rule for part in arguments.rules):
            continue
        noticed = _notices(mutant, number, arguments.logs)
        missed += not noticed
        print(  # noqa: T201 - this is a command
            f"{'noticed' if noticed else 'MISSED '}  {mutant.rule}: {mutant.test}", flush=True
        )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
