"""Traces as Jaeger answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from tests.gateway.agents import query

if TYPE_CHECKING:
    from starlette.responses import Response

    from tests.gateway.support import FakeBackend, Seen

START = 1_763_733_600_000_000


def tag(key: str, value: str | bool | int | float) -> dict[str, Any]:
    """Return a tag."""
    kinds = {str: "string", bool: "bool", int: "int64", float: "float64"}
    return {"key": key, "type": kinds[type(value)], "value": value}


def span(
    span_id: str,
    name: str,
    *tags: dict[str, Any],
    parent: str | None = None,
    at: int = 0,
    took: int = 1000,
    process: str = "p1",
) -> dict[str, Any]:
    """Return a span; times in microseconds after the trace's begin."""
    references = [] if parent is None else [{"refType": "CHILD_OF", "traceID": "", "spanID": parent}]
    return {
        "spanID": span_id,
        "operationName": name,
        "references": references,
        "startTime": at,
        "duration": took,
        "tags": list(tags),
        "logs": [],
        "processID": process,
        "warnings": None,
    }


def trace(number: int, *spans: dict[str, Any], at: int = START) -> dict[str, Any]:
    """Return a trace that began ``at`` microseconds since 1970."""
    trace_id = f"{number:032x}"
    moved = [
        one
        | {
            "traceID": trace_id,
            "startTime": one["startTime"] + at,
            "references": [reference | {"traceID": trace_id} for reference in one["references"]],
        }
        for one in spans
    ]
    processes: dict[str, Any] = {
        "p1": {"serviceName": "payment-service", "tags": [tag("host.name", "a")]},
        "p2": {"serviceName": "database", "tags": []},
    }
    return {"traceID": trace_id, "spans": moved, "processes": processes, "warnings": None}


def payment(number: int, *, at: int = START, took: int = 1_500_000, failed: bool = False) -> dict[str, Any]:
    """Return the trace of a payment: the request, and a statement in the database that took half of the time."""
    status = [tag("error", value=True), tag("otel.status_code", "ERROR")] if failed else []
    return trace(
        number,
        span("01", "POST /payment", tag("span.kind", "server"), tag("http.status_code", 500), *status, took=took),
        span(
            "02",
            "SELECT",
            tag("span.kind", "client"),
            tag("db.system", "postgresql"),
            parent="01",
            at=100,
            took=took // 2,
        ),
        at=at,
    )


class Jaeger:
    """Answers like Jaeger: a service's traces within the times, newest first, up to the limit, whatever its tags."""

    def __init__(
        self, backend: FakeBackend, traces: list[dict[str, Any]], services: tuple[str, ...] = ("payment-service",)
    ) -> None:
        self._traces = traces
        backend.always("/api/services", lambda: JSONResponse({"data": services, "errors": None}))
        backend.answers["/api/traces"] = self.answer

    async def answer(self, seen: Seen) -> Response:
        """Answer ``/api/traces``."""
        asked = query(seen)

        def starts(one: dict[str, Any]) -> list[int]:
            return [
                span["startTime"]
                for span in one["spans"]
                if one["processes"][span["processID"]]["serviceName"] == asked["service"]
                and int(asked["start"]) <= span["startTime"] <= int(asked["end"])
            ]

        fitting = sorted((one for one in self._traces if starts(one)), key=lambda one: max(starts(one)), reverse=True)
        return JSONResponse({"data": fitting[: int(asked["limit"])], "total": 0, "errors": None})
