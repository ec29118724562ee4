"""How long after an event it can be seen: the app's log line, its trace, and a line of the database's log.

    .venv/bin/python bench/freshness.py [--stack airgap] [--times 30]

Needs a running stack. Each event is one of ours and is asked for through the gateway, as an agent does, until it is
there: a payment with a trace id of our own (from its answer to the line in Loki and to the trace with the request's
span), and a statement that fails (from psql's exit to the line in Loki). Prints a markdown table.
"""

import argparse
import json
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping

import requests
from machine import describe_machine

from infra.paths import REPOSITORY
from infra.targets.docker.naming import container_name

_POLL_SECONDS = 0.005
_DEADLINE_SECONDS = 30
_PAUSE_SECONDS = 0.37
"""Between events, so that they do not keep step with anything that happens at whole seconds."""


class Gateway:
    """The telemetry through the gateway."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self._settings = settings
        self._http = requests.Session()

    def pay(self, trace_id: str) -> None:
        """Make a payment whose trace has this id."""
        answer = self._http.post(
            f"{self._settings['SAMPLE_APP_URL']}/payment",
            json={"amount": 1.0},
            headers={"traceparent": f"00-{trace_id}-{secrets.token_hex(8)}-01"},
            timeout=30,
        )
        answer.raise_for_status()

    def has_line(self, selector: str, text: str) -> bool:
        """Whether Loki has a line with the text."""
        answer = self._http.get(
            f"{self._settings['LOKI_URL']}/loki/api/v1/query_range",
            params={"query": f'{selector} |= "{text}"', "limit": "1"},
            timeout=10,
        )
        answer.raise_for_status()
        return bool(answer.json()["data"]["result"])

    def has_request_span(self, trace_id: str) -> bool:
        """Whether the trace is there with the span of the request, which ends last."""
        answer = self._http.get(f"{self._settings['TEMPO_URL']}/api/traces/{trace_id}", timeout=10)
        if answer.status_code == requests.codes.not_found:
            return False
        answer.raise_for_status()
        return "POST /payment" in answer.text


def seconds_until(condition: Callable[[], bool]) -> float:
    """How long the condition takes to come true."""
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > _DEADLINE_SECONDS:
            raise TimeoutError(f"not visible after {_DEADLINE_SECONDS} seconds")
        time.sleep(_POLL_SECONDS)
    return time.perf_counter() - started


def fail_in_database(stack: str, text: str) -> None:
    """Run a statement that fails and is logged."""
    command = ["psql", "-U", "postgres", "-d", "payments", "-c", f"SELECT '{text}'::integer"]
    subprocess.run(["docker", "exec", container_name(stack, "postgres"), *command], check=False, capture_output=True)


def measure(gateway: Gateway, stack: str, times: int) -> dict[str, list[float]]:
    """Seconds of each kind of event."""
    found: dict[str, list[float]] = {"log line of the app": [], "trace": [], "log line of PostgreSQL": []}
    for _ in range(times):
        trace_id = secrets.token_hex(16)
        gateway.pay(trace_id)
        found["log line of the app"].append(
            seconds_until(lambda wanted=trace_id: gateway.has_line('{service="payment-service"}', wanted))
        )
        trace_id = secrets.token_hex(16)
        gateway.pay(trace_id)
        found["trace"].append(seconds_until(lambda wanted=trace_id: gateway.has_request_span(wanted)))
        text = secrets.token_hex(8)
        fail_in_database(stack, text)
        found["log line of PostgreSQL"].append(
            seconds_until(lambda wanted=text: gateway.has_line('{app="postgres"}', wanted))
        )
        time.sleep(_PAUSE_SECONDS)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", default="airgap")
    parser.add_argument("--times", type=int, default=30)
    options = parser.parse_args()
    answer = subprocess.run(
        [sys.executable, str(REPOSITORY / "demo"), "env", options.stack, "--json"],
        check=True,
        capture_output=True,
        text=True,
    )
    settings = {**json.loads(answer.stdout)}
    found = measure(Gateway(settings), options.stack, options.times)
    print(describe_machine())
    print(f"\n{options.times} events of each kind, in ms, from the event to an agent's first answer with it.\n")
    print("| event | min | median | max |\n|---|---|---|---|")
    for name, values in found.items():
        row = (min(values), statistics.median(values), max(values))
        print(f"| {name} | {' | '.join(f'{1000 * value:.0f}' for value in row)} |")


if __name__ == "__main__":
    main()
