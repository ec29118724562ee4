"""Searches Jaeger: asks for what it can look for, page by page, and filters the rest."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from gateway.agents.tool import Outcome
from gateway.backend import BackendError
from gateway.jaeger.answers import Services, Trace, traces
from gateway.jaeger.plan import Plan, plan
from gateway.jaeger.tempo_form import found
from gateway.problems import Refused
from gateway.traceql.errors import TraceQLError
from gateway.traceql.match import Matcher
from gateway.traceql.parser import parse
from gateway.traceql.regex import WORK, TooCostlyError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.trace import Span as CallSpan

    from gateway.agents.traces import Search
    from gateway.agents.upstream import Upstream
    from gateway.traceql.model import Query
    from gateway.traceql.spans import Span

T = TypeVar("T")

# Agents give up after 30 s.
_SECONDS = 20.0
_PAGE = 100
# Traces that are looked at for one search, and services that are asked.
_INSPECTED = 1000
_SERVICES = 20
_MICRO = 1000
_THREADS = 2
_LARGE = "some traces are so large that others which began while they lasted may be missing; take a shorter range"


@dataclass(slots=True, kw_only=True)
class _Work:
    """One search under way."""

    search: Search
    query: Query
    matcher: Matcher
    plan: Plan
    span: CallSpan
    deadline: float
    inspected: set[str] = field(default_factory=set[str])
    matched: dict[str, tuple[Trace, Sequence[Span]]] = field(default_factory=dict[str, "tuple[Trace, Sequence[Span]]"])
    notes: list[str] = field(default_factory=list[str])


class JaegerStore:
    """Jaeger as the store of traces.

    Args:
        jaeger: who answers.
    """

    def __init__(self, jaeger: Upstream) -> None:
        self._jaeger = jaeger
        # Few threads of its own: each keeps the memory that its largest work took.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="traces")

    def close(self) -> None:
        """Begin no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _beside(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def search(self, search: Search, span: CallSpan) -> Outcome:
        """Return what is found, newest first, in the form of Tempo's ``/api/search``."""
        # What reads, converts or matches runs beside the event loop: large regular expressions and traces take a while.
        try:
            query = await self._beside(lambda: parse(search.query))
        except TraceQLError as error:
            raise Refused(400, "bad_data", str(error)) from None
        work = _Work(
            search=search,
            query=query,
            matcher=Matcher(query),
            plan=plan(query),
            span=span,
            deadline=time.monotonic() + _SECONDS,
        )
        services = await self._services(work)
        for service in services:
            await self._service(work, service, most=max(_PAGE, _INSPECTED // len(services)))
        newest = sorted(work.matched.values(), key=lambda one: one[0].start, reverse=True)[: search.limit]
        data = {
            "traces": [found(trace, matched, query, spans=search.spans) for trace, matched in newest],
            "metrics": {"inspectedTraces": len(work.inspected)},
        }
        return Outcome(data=data, metadata={"notes": work.notes} if work.notes else {})

    async def _services(self, work: _Work) -> Sequence[str]:
        if work.plan.service is not None:
            return [work.plan.service] if self._wanted(work, [work.plan.service]) else []
        answer = await self._jaeger.get("/api/services", {}, work.span, seconds=self._left(work))
        try:
            known = sorted(Services.model_validate(answer).data or [])
        except ValidationError:
            raise self._jaeger.rubbish() from None
        wanted = self._wanted(work, known)
        if len(wanted) > _SERVICES:
            work.notes.append(
                f"{len(wanted)} services could have such spans, and the first {_SERVICES} were searched; "
                "name one with resource.service.name"
            )
        return wanted[:_SERVICES]

    def _wanted(self, work: _Work, services: Sequence[str]) -> Sequence[str]:
        try:
            return [service for service in services if work.plan.wants(service)]
        except TooCostlyError:
            raise _too_costly() from None

    async def _service(self, work: _Work, service: str, *, most: int) -> None:
        """Search the traces of a service from the newest back, until there are enough, no more, or too many."""
        search = work.search
        page = min(search.limit, _PAGE) if work.plan.exact else _PAGE
        end = int(search.end * 1e6)
        first = int(search.start * 1e6)
        seen: set[str] = set()
        asked = 0
        while end >= first and len(seen & work.matched.keys()) < search.limit:
            if asked >= most or (asked and time.monotonic() > work.deadline):
                work.notes.append(
                    f"only the {len(seen)} newest candidates of {service} were looked at; "
                    "take a shorter range, or end it earlier to look further back"
                )
                return
            try:
                answer = await self._page(work, service, first, end, page)
            except BackendError as error:
                if error.kind != "too_large" or page == 1:
                    raise
                page = max(1, page // 4)
                continue
            await self._match(work, [trace for trace in answer if trace.trace_id not in work.inspected])
            known = seen.issuperset(trace.trace_id for trace in answer)
            seen.update(trace.trace_id for trace in answer)
            asked += page
            if len(answer) < page:
                return
            # Jaeger gives the newest, by the begin of a span that fits; whatever it did not give began no later than
            # every trace's last span that it gave.
            boundary = min(trace.latest_start for trace in answer) // _MICRO
            if known and page == 1:
                # One trace fills a page, and is given again until the search ends before it begins.
                boundary = min(trace.start for trace in answer) // _MICRO - 1
                if _LARGE not in work.notes:
                    work.notes.append(_LARGE)
            end = boundary if boundary < end else end - 1

    async def _page(self, work: _Work, service: str, first: int, end: int, page: int) -> Sequence[Trace]:
        parameters = {
            **work.plan.parameters,
            "service": service,
            "start": str(first),
            "end": str(end),
            "limit": str(page),
        }
        answer = await self._jaeger.get("/api/traces", parameters, work.span, seconds=self._left(work))
        try:
            return await self._beside(lambda: traces(answer))
        except ValueError:
            raise self._jaeger.rubbish() from None

    async def _match(self, work: _Work, new: Sequence[Trace]) -> None:
        try:
            matched = await self._beside(
                lambda: [(trace, [span for span in trace.spans if work.matcher.matches(span)]) for trace in new]
            )
        except TooCostlyError:
            raise _too_costly() from None
        work.inspected.update(trace.trace_id for trace in new)
        work.matched.update({trace.trace_id: (trace, spans) for trace, spans in matched if spans})

    def _left(self, work: _Work) -> float:
        return max(0.05, work.deadline - time.monotonic())


def _too_costly() -> Refused:
    return Refused(
        422,
        "too_large",
        f"the regular expressions of the query take more work than the limit of {WORK} steps; write them simpler",
    )
