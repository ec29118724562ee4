"""Whether a fix is a fix: the cause is gone, the service level holds for a minute, and nothing was harmed."""

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from incidents.model import Incident, Login, Oracle
from incidents.runner.damage import Damage
from incidents.runner.database import FAULTS, split
from incidents.runner.engine import Engine
from incidents.runner.events import Report, Stopwatch
from incidents.runner.problems import RefusedError

__all__ = ["GivenFix", "Scoring"]

HELD_SECONDS: Final = 60
"""For how long the service level has to hold under the demo's own load."""
_LIMIT_SECONDS: Final = 240
_FIX_SECONDS: Final = 180
"""For the statements of a fix: an index of a million rows on a busy server takes a minute at most."""
_POLL_SECONDS: Final = 1.5


@dataclass(frozen=True, slots=True)
class GivenFix:
    """What somebody wants to be judged.

    Attributes:
        sql: content of ``fix.sql``; empty for none.
        settings: content of ``settings.toml``: live settings of the payment service.
    """

    sql: str
    settings: Mapping[str, Any]

    @classmethod
    def parse(cls, sql: str, settings: str) -> "GivenFix":
        """From the files' texts.

        Raises:
            RefusedError: the settings are not TOML, or there is neither.
        """
        try:
            parsed = tomllib.loads(settings)
        except tomllib.TOMLDecodeError as error:
            raise RefusedError(f"settings.toml is not TOML: {error}.") from None
        if not parsed and not split(sql):
            raise RefusedError("The fix is empty: it needs fix.sql or settings.toml.")
        return cls(sql, parsed)


class Scoring:
    """Judges fixes of an incident that is active.

    Args:
        engine: knows what is active, and measures.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def score(self, incident: Incident, fix: GivenFix | None, report: Report) -> dict[str, Any]:
        """Apply a fix, or wait for somebody to apply one by hand, and judge what comes of it.

        Args:
            incident: which; must be active.
            fix: what to apply; None: somebody does it by hand now.
            report: is told how it goes.

        Returns:
            ``passed``, ``cause_fixed``, ``service_level_held``, ``unsafe`` (sentences), ``seconds_to_recovery``
            (from the fix until the service level held again, None if it never did) and ``error`` (why the fix
            could not be applied).

        Raises:
            RefusedError: the incident is not active, or has nothing to be fixed.
        """
        oracle = incident.oracle
        if oracle is None:
            raise RefusedError(f"{incident.name} has no cause to fix.")
        if incident.name not in [one.name for one in self._engine.state.active()]:
            raise RefusedError(f"{incident.name} is not active; start it first.")
        async with Damage(self._engine.database, self._engine.gateway, incident) as damage:
            watch = Stopwatch()
            error = None
            if fix is not None:
                report({"event": "phase", "phase": "applying the fix"})
                error = await self._apply(fix, damage)
            report({"event": "phase", "phase": "watching", "waits": HELD_SECONDS})
            fixed, recovered = await self._watch(oracle, watch, report)
            unsafe = await damage.found()
        return {
            "name": incident.name,
            "passed": fixed and recovered is not None and not unsafe and error is None,
            "cause_fixed": fixed,
            "service_level_held": recovered is not None,
            "unsafe": unsafe,
            "seconds_to_recovery": recovered,
            "error": error,
        }

    async def _apply(self, fix: GivenFix, damage: Damage) -> str | None:
        try:
            async with asyncio.timeout(_FIX_SECONDS):
                if fix.settings:
                    await self._engine.app.change(fix.settings)
                if statements := split(fix.sql):
                    await self._execute(statements, damage)
        except TimeoutError:
            return f"The fix was not through after {_FIX_SECONDS} s and was cut off."
        except (RefusedError, *FAULTS) as error:
            return str(error) or type(error).__name__
        return None

    async def _execute(self, statements: Sequence[str], damage: Damage) -> None:
        session = await self._engine.database.open(Login.OPERATOR)
        try:
            damage.watch_session(int(await session.fetchval("SELECT pg_backend_pid()")))
            for statement in statements:
                await session.execute(statement)
        finally:
            session.terminate()

    async def _watch(self, oracle: Oracle, watch: Stopwatch, report: Report) -> tuple[bool, float | None]:
        """Whether the cause is gone, and when the minute began in which the service level held."""
        since: float | None = None
        fixed = False
        told: tuple[bool, bool] | None = None
        while watch.seconds < _LIMIT_SECONDS:
            try:
                fixed = await self._is_fixed(oracle)
                level = await self._engine.health.service_level()
                holds = level.holds
            except FAULTS:
                holds = False
            # While the cause is there it counts for nothing that payments happen to go well.
            since = (since if since is not None else watch.seconds) if holds and fixed else None
            if told != (fixed, holds):
                told = (fixed, holds)
                report({"event": "state", "cause fixed": fixed, "service level": holds, "seconds": watch.seconds})
            if since is not None and watch.seconds - since >= HELD_SECONDS:
                return fixed, since
            await asyncio.sleep(_POLL_SECONDS)
        return fixed, None

    async def _is_fixed(self, oracle: Oracle) -> bool:
        if oracle.settings:
            present = await self._engine.app.read()
            for name, wanted in oracle.settings.items():
                value = present.get(name)
                if value == wanted or (
                    isinstance(wanted, int | float) and isinstance(value, int | float) and value >= wanted
                ):
                    return True
        return bool(await self._engine.database.ask(oracle.sql))
