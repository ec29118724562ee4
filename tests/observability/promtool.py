"""Runs promtool: the arbiter of what Prometheus' rules compute and which alerts they raise."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

OBSERVABILITY: Final = Path(__file__).parents[2] / "observability"
RULES: Final = OBSERVABILITY / "prometheus" / "rules"
SCRAPE_SECONDS: Final = 5


def promtool() -> str:
    """Return the program's path, or skip: it is not a Python package and not everybody has it."""
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not found:
        pytest.skip("promtool is neither on PATH nor named by PROMTOOL")
    return found


@dataclass(frozen=True, slots=True)
class Series:
    """One input series: a value at each scrape.

    Attributes:
        name: the metric with its labels, as Prometheus writes it.
        values: in promtool's notation, such as ``0+5x60`` (from 0, 60 times 5 more).
    """

    name: str
    values: str


def gauge(name: str, value: float, scrapes: int = 60) -> Series:
    """A value that stays."""
    return Series(name, f"{value}x{scrapes}")


def counter(name: str, per_second: float, scrapes: int = 60) -> Series:
    """A counter that grows steadily."""
    return Series(name, f"0+{per_second * SCRAPE_SECONDS}x{scrapes}")


@cache
def rule_groups() -> list[dict[str, Any]]:
    """Return every group of every rule file."""
    return [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text())["groups"]]


def run_tests(directory: Path, tests: list[dict[str, Any]]) -> None:
    """Run promtool's unit tests against the real rule files; a difference fails with promtool's own words."""
    # Alerts use what the other groups record, and promtool evaluates groups in the order that it is told.
    document = {
        "rule_files": [str(path) for path in sorted(RULES.glob("*.yml"))],
        "evaluation_interval": f"{SCRAPE_SECONDS}s",
        "group_eval_order": sorted(
            (group["name"] for group in rule_groups()), key=lambda name: name.startswith("alerts")
        ),
        "tests": tests,
    }
    path = directory / "test.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    done = subprocess.run(
        [promtool(), "test", "rules", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def as_input(series: list[Series]) -> list[dict[str, str]]:
    """Return the series as promtool's ``input_series``."""
    return [{"series": one.name, "values": one.values} for one in series]
