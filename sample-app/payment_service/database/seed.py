"""The seed: steps of SQL with an order, run side by side by a few workers."""

import asyncio
import hashlib
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

from payment_service.store.driver import Connection

HISTORY_DAYS = 90
MERCHANTS = 50
PAYMENTS_PER_CUSTOMER = 20

# Clock time as a function of the even scale x: x - AMPLITUDE / 2 pi * sin(2 pi (x - PEAK)); the same as in seed.sql.
_AMPLITUDE = 0.6
_PEAK = 0.625

_HEADER = re.compile(r"^-- step: (?P<name>[^,\n]+)(?:, after: (?P<after>[^\n]+))?\n", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A unit of the seed: statements run one after another in one session."""

    name: str
    after: tuple[str, ...]
    statements: tuple[str, ...]


def read_sql(name: str) -> str:
    """One of the SQL files beside this module."""
    return resources.files(__package__ or "").joinpath(name).read_text(encoding="utf-8")


def parse_steps(text: str) -> tuple[Step, ...]:
    """Split a file of steps.

    Args:
        text: SQL in which each step starts with ``-- step: NAME, after: NAME, NAME``.

    Raises:
        ValueError: A step waits for one that is not before it, or two have one name.
    """
    heads = list(_HEADER.finditer(text))
    ends = [head.start() for head in heads[1:]] + [len(text)]
    steps: list[Step] = []
    for head, end in zip(heads, ends, strict=True):
        after = tuple(name.strip() for name in (head["after"] or "").split(",") if name.strip())
        seen = {step.name for step in steps}
        if head["name"] in seen or not seen.issuperset(after):
            raise ValueError(f"step {head['name']!r} must have a name of its own and come after {after}")
        statements = tuple(part.strip() for part in text[head.end() : end].split(";\n") if part.strip())
        steps.append(Step(name=head["name"], after=after, statements=statements))
    return tuple(steps)


def fingerprint(seed_number: int, history_end: float | None) -> str:
    """Hash of all that decides what is in the database, save the number of payments.

    Args:
        seed_number: Seed of the generated data.
        history_end: The configured end of the history, if there is one.
    """
    parts = (
        read_sql("schema.sql"),
        read_sql("seed.sql"),
        str(HISTORY_DAYS),
        str(MERCHANTS),
        str(seed_number),
        str(history_end),
    )
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _first_x(history_end_day: float) -> float:
    """The even scale's value whose clock time, 90 days on, is the end of the history."""
    low, high = history_end_day - 1, history_end_day + 1
    for _ in range(60):
        middle = (low + high) / 2
        clock = middle - _AMPLITUDE / (2 * math.pi) * math.sin(2 * math.pi * (middle - _PEAK))
        low, high = (middle, high) if clock < history_end_day else (low, middle)
    return low - HISTORY_DAYS


async def run(
    connections: list[Connection],
    *,
    payments: int,
    seed_number: int,
    history_end: float,
    report: Callable[[str, float], None],
) -> None:
    """Fill the empty tables and build their keys and indexes.

    Args:
        connections: One session for each worker.
        payments: How many payments.
        seed_number: Seed of the generated data.
        history_end: Unix time at which the history ends.
        report: Called with each step's name and seconds.
    """
    steps = parse_steps(read_sql("seed.sql"))
    day = history_end / 86400
    first_x = _first_x(day)
    parameters = (
        payments, seed_number, payments // PAYMENTS_PER_CUSTOMER, MERCHANTS, first_x, math.floor(first_x) - 1,
        math.floor(day), datetime.fromtimestamp(history_end, UTC),
    )  # fmt: skip
    done = {step.name: asyncio.Event() for step in steps}
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for connection in connections:
        free.put_nowait(connection)

    async def run_step(step: Step) -> None:
        for name in step.after:
            await done[name].wait()
        connection = await free.get()
        started = time.perf_counter()
        for statement in step.statements:
            await connection.execute(statement)
        if step.name == "parameters":
            await connection.execute("INSERT INTO seed.parameters VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", *parameters)
        report(step.name, time.perf_counter() - started)
        free.put_nowait(connection)
        done[step.name].set()

    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(run_step(step))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
