"""The runner's HTTP API: on its own port, with its own tokens, never through the gateway.

Operations answer with JSON lines as they go on; the last one is ``{"event": "result", …}`` or
``{"event": "error", …}``. They go on when the caller hangs up.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeAlias, cast

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from incidents.catalog import UnknownIncidentError, find
from incidents.model import Incident
from incidents.runner.compatibility import Compatibility
from incidents.runner.engine import Engine
from incidents.runner.events import Event, Report
from incidents.runner.operations import Caller, Operations
from incidents.runner.problems import NotFoundError, RunnerError
from incidents.runner.scoring import GivenFix, Scoring
from incidents.runner.settings import RunnerSettings, read_secret
from incidents.runner.views import describe, listed, status

__all__ = ["make_app"]

log = structlog.get_logger("incidents.runner")

_MOST_BODY = 1 << 20
_Work: TypeAlias = Callable[[Report], Coroutine[Any, Any, dict[str, Any]]]


class Wish(BaseModel):
    """What a caller asks for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    holder: str = Field(default="somebody", min_length=1, max_length=100)
    name: str | None = Field(default=None, max_length=100)
    concurrent: bool = False
    take_over: bool = False
    shared_baseline: bool = False
    seconds: float = Field(default=60, ge=1, le=600)
    fix_sql: str | None = None
    fix_settings: str | None = None


class Api:
    """The routes.

    Args:
        settings: the tokens' files.
        engine: knows what is active.
        operations: does what is asked for.
    """

    def __init__(self, settings: RunnerSettings, engine: Engine, operations: Operations) -> None:
        self._engine = engine
        self._operations = operations
        self._scoring = Scoring(engine)
        self._compatibility = Compatibility(engine, operations)
        self._presenter = _digest(read_secret(settings.presenter_token_file))
        self._owner = _digest(read_secret(settings.owner_token_file))
        self._running: set[asyncio.Task[None]] = set()

    def routes(self) -> list[Route]:
        """Starlette's routes."""
        return [
            Route("/ready", self.ready),
            Route("/incidents", self.list),
            Route("/incidents/{name}", self.show),
            Route("/status", self.status),
            Route("/start", self.start, methods=["POST"]),
            Route("/stop", self.stop, methods=["POST"]),
            Route("/verify", self.verify, methods=["POST"]),
            Route("/watch", self.watch, methods=["POST"]),
            Route("/score", self.score, methods=["POST"]),
            Route("/trigger-incident", self.trigger, methods=["POST"]),
        ]

    async def ready(self, _request: Request) -> Response:
        """``GET /ready``: the runner itself serves."""
        return JSONResponse({"ready": True})

    async def list(self, request: Request) -> Response:
        """``GET /incidents``: names, titles and what is active."""
        self._who(request)
        return JSONResponse(listed(self._engine))

    async def show(self, request: Request) -> Response:
        """``GET /incidents/{name}``; with ``?answer=true`` also the cause, the evidence and the fixes."""
        self._who(request)
        incident = self._find(request.path_params["name"])
        return JSONResponse(describe(incident, answer=request.query_params.get("answer") == "true"))

    async def status(self, request: Request) -> Response:
        """``GET /status``: what is active, who holds the runner, what it is doing."""
        self._who(request)
        return JSONResponse(await status(self._engine, self._operations))

    async def start(self, request: Request) -> Response:
        """``POST /start``: inject and prove."""
        caller, wish = await self._wish(request)
        incident = self._find(wish.name)

        async def work(report: Report) -> dict[str, Any]:
            return await self._operations.start(incident, caller, report, concurrent=wish.concurrent)

        return self._stream(caller, f"start {incident.name}", work)

    async def stop(self, request: Request) -> Response:
        """``POST /stop``: end one incident or all; what is being proven meanwhile is interrupted."""
        caller, wish = await self._wish(request)
        names = [] if wish.name is None else [self._find(wish.name).name]
        self._operations.check_stoppable(names)
        await self._operations.interrupt(caller)

        async def work(report: Report) -> dict[str, Any]:
            return await self._operations.stop(names, report)

        return self._stream(caller, "stop", work)

    async def verify(self, request: Request) -> Response:
        """``POST /verify``: one incident from the baseline to the baseline."""
        caller, wish = await self._wish(request)
        incident = self._find(wish.name)

        async def work(report: Report) -> dict[str, Any]:
            return await self._operations.verify(incident, caller, report, shared=wish.shared_baseline)

        return self._stream(caller, f"verify {incident.name}", work)

    async def watch(self, request: Request) -> Response:
        """``POST /watch``: look for every incident's evidence while nothing is injected."""
        caller, wish = await self._wish(request)

        async def work(report: Report) -> dict[str, Any]:
            return await self._operations.watch_nothing(wish.seconds, report)

        return self._stream(caller, "watch", work)

    async def score(self, request: Request) -> Response:
        """``POST /score``: judge a fix; without one, whatever somebody does by hand now."""
        caller, wish = await self._wish(request)
        incident = self._find(wish.name)
        given = wish.fix_sql is not None or wish.fix_settings is not None
        fix = GivenFix.parse(wish.fix_sql or "", wish.fix_settings or "") if given else None

        async def work(report: Report) -> dict[str, Any]:
            return await self._scoring.score(incident, fix, report)

        return self._stream(caller, f"score {incident.name}", work)

    async def trigger(self, request: Request) -> Response:
        """``POST /trigger-incident``: COMPASS's names for three of the incidents."""
        self._who(request)
        wish = await _body(request)
        wanted = cast("dict[str, object]", wish).get("incident_type") if isinstance(wish, dict) else None
        return JSONResponse(await self._compatibility.trigger(wanted))

    # --- what they share

    def _who(self, request: Request) -> bool:
        """Whether the caller is the owner.

        Raises:
            PermissionError: neither token was shown.
        """
        given = _digest(request.headers.get("authorization", "").removeprefix("Bearer "))
        owner = hmac.compare_digest(given, self._owner)
        if not hmac.compare_digest(given, self._presenter) and not owner:
            raise PermissionError
        return owner

    async def _wish(self, request: Request) -> tuple[Caller, Wish]:
        owner = self._who(request)
        try:
            wish = Wish.model_validate(await _body(request))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in fault["loc"]) or "body"
            raise ValueError(f"{where}: {fault['msg']}") from None
        return Caller(wish.holder, owner, wish.take_over), wish

    def _find(self, name: str | None) -> Incident:
        try:
            return find(name or "")
        except UnknownIncidentError as error:
            raise NotFoundError(str(error)) from None

    def _stream(self, caller: Caller, what: str, work: _Work) -> Response:
        lines: asyncio.Queue[Event | None] = asyncio.Queue()

        async def run() -> None:
            try:
                result = await self._operations.run(caller, what, lambda: work(lines.put_nowait))
                lines.put_nowait({"event": "result", **result})
            except RunnerError as error:
                lines.put_nowait({"event": "error", "error": str(error), "kind": type(error).__name__})
            except Exception as error:
                log.exception("operation failed", what=what)
                sentence = f"The runner failed at '{what}': {type(error).__name__}: {error}"
                lines.put_nowait({"event": "error", "error": sentence, "kind": "Failure"})
            finally:
                lines.put_nowait(None)

        task = asyncio.create_task(run())
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return StreamingResponse(_lines(lines), media_type="application/x-ndjson")


async def _lines(queue: "asyncio.Queue[Event | None]") -> AsyncGenerator[bytes]:
    while (event := await queue.get()) is not None:
        yield json.dumps(event).encode() + b"\n"


async def _body(request: Request) -> object:
    body = await request.body()
    if len(body) > _MOST_BODY:
        raise ValueError("the body is larger than 1 MiB")
    try:
        return json.loads(body or b"{}")
    except ValueError:
        raise ValueError("the body is not JSON") from None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


async def _refuse(_request: Request, error: Exception) -> Response:
    if isinstance(error, PermissionError):
        return JSONResponse(
            {"error": "This needs the presenter's or the owner's token."}, 401, {"WWW-Authenticate": "Bearer"}
        )
    status_code = error.status if isinstance(error, RunnerError) else 400
    return JSONResponse({"error": str(error)}, int(status_code))


def make_app(settings: RunnerSettings, engine: Engine, operations: Operations) -> Starlette:
    """The application."""
    handlers: dict[Any, Any] = {
        RunnerError: _refuse,
        PermissionError: _refuse,
        ValueError: _refuse,
    }
    return Starlette(routes=Api(settings, engine, operations).routes(), exception_handlers=handlers)
