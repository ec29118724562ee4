"""What ``incident verify`` prints at its end."""

import io
from typing import Any

import pytest
from rich.console import Console

from cli.incident_view import matrix
from incidents.catalog import catalog

SIGNALS = ("metrics", "logs", "traces", "alert", "recovery", "healthy")
LONG = "sort-spill was injected, but did not show: " + "traces: long INSERT payments; " * 5


def result(name: str, fault: str | None = None) -> dict[str, Any]:
    return {"name": name, "fault": fault, "seconds": dict.fromkeys(SIGNALS, 119.6)}


def printed(results: list[dict[str, Any]], width: int) -> str:
    output = io.StringIO()
    Console(file=output, width=width).print(matrix(results))
    return output.getvalue()


@pytest.mark.parametrize("width", [80, 100])
def test_a_line_for_each_incident_fits_the_terminal(width: int) -> None:
    lines = printed([result(name) for name in catalog()], width).splitlines()
    assert len(lines) == 1 + len(catalog())
    for name, line in zip(catalog(), lines[1:], strict=True):
        assert line.split() == ["✓", name, *["120"] * len(SIGNALS)]
    assert all(len(line) <= width for line in lines)


def test_each_fault_is_named_once_with_all_that_have_it() -> None:
    refused = "The stack is not healthy, so nothing could be proven: TempFiles fires."
    results = [
        result("sort-spill", LONG),
        result("hot-row", refused),
        result("lock-queue", refused),
        result("deadlocks"),
    ]
    text = printed(results, 100)
    assert all(len(line) <= 100 for line in text.splitlines())
    one_line = " ".join(text.split())
    assert one_line.count("TempFiles fires") == 1
    assert f"hot-row, lock-queue: {refused}" in one_line
    assert f" {LONG.strip()}" in one_line
    assert "sort-spill: sort-spill" not in one_line


def test_a_signal_that_was_not_seen_has_no_seconds() -> None:
    (_, line, fault) = printed(
        [{"name": "hot-row", "fault": "It hides.", "seconds": {"metrics": 4.4}}], 100
    ).splitlines()
    assert line.split() == ["✗", "hot-row", "4"]
    assert fault == "hot-row: It hides."
