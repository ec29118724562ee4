"""An OTLP/HTTP receiver for the bench: takes everything, counts it, keeps nothing.

``python bench/sample_app_sink.py PORT``; ``GET /`` answers with what it has counted as JSON.
"""

import asyncio
import json
import sys

import uvloop
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

COUNTS = {"batches": 0, "bytes": 0, "spans": 0, "logs": 0}


def count(path: str, body: bytes) -> None:
    """Count one batch.

    Args:
        path: ``/v1/traces`` or ``/v1/logs``.
        body: The request.
    """
    COUNTS["batches"] += 1
    COUNTS["bytes"] += len(body)
    if path == "/v1/traces":
        traces = ExportTraceServiceRequest.FromString(body)
        COUNTS["spans"] += sum(len(scope.spans) for group in traces.resource_spans for scope in group.scope_spans)
    else:
        logs = ExportLogsServiceRequest.FromString(body)
        COUNTS["logs"] += sum(len(scope.log_records) for group in logs.resource_logs for scope in group.scope_logs)


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection.

    Args:
        reader: What the client sends.
        writer: What it gets.
    """
    while line := await reader.readline():
        method, path, _ = line.decode().split()
        length = 0
        while (header := await reader.readline()) not in {b"\r\n", b""}:
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        body = await reader.readexactly(length)
        if method == "POST":
            count(path, body)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n")
        else:
            text = json.dumps(COUNTS).encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))


async def serve(port: int) -> None:
    """Serve until killed.

    Args:
        port: Port on this machine.
    """
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
