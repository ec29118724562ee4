"""The measured matrix: seconds per signal for every incident, three runs in a row, and false proofs in healthy runs.

python bench/incident_matrix.py [--runs 3] [--healthy 20] [--stack NAME]    on a stack that runs; prints Markdown
"""

import argparse
import statistics
import sys
import time
from typing import Any

from machine import describe_machine

from cli.incident_client import RunnerClient
from cli.progress import make_display
from cli.session import Session, the_stack
from incidents.catalog import catalog
from incidents.model import Kind
from infra.paths import DemoHome

SIGNALS = ("metrics", "logs", "traces", "alert", "recovery", "healthy")
HEALTHY_SECONDS = 30


def say(text: str) -> None:
    """Print progress."""
    sys.stderr.write(f"{text}\n")


def quiet(_event: dict[str, Any]) -> None:
    """Progress is of no interest here."""


def verify_all(client: RunnerClient) -> list[dict[str, Any]]:
    """One run over everything, against one baseline."""
    results: list[dict[str, Any]] = []
    for number, name in enumerate(catalog()):
        started = time.monotonic()
        result = client.run("/verify", {"name": name, "shared_baseline": number > 0}, quiet)
        say(f"{name}: {result['fault'] or 'proven'} ({time.monotonic() - started:.0f} s)")
        results.append(result)
    return results


def proven_seconds(result: dict[str, Any]) -> float:
    """From the injection until the last signal was seen."""
    return max(result["seconds"].get(signal, 0.0) for signal in ("metrics", "logs", "traces"))


def share_of_recovery(result: dict[str, Any]) -> float:
    """How much of the time that it may take the recovery took."""
    return result["seconds"]["recovery"] / catalog()[result["name"]].recovery_seconds


def table(runs: list[list[dict[str, Any]]]) -> list[str]:
    """Medians over the runs."""
    lines = [f"| incident | {' | '.join(SIGNALS)} | faults |", "|-|" + "-|" * (len(SIGNALS) + 1)]
    for results in zip(*runs, strict=True):
        cells: list[str] = []
        for signal in SIGNALS:
            seconds = [one["seconds"][signal] for one in results if signal in one["seconds"]]
            cells.append(f"{statistics.median(seconds):.0f}" if seconds else "")
        faults = sum(bool(one["fault"]) for one in results)
        lines.append(f"| {results[0]['name']} | {' | '.join(cells)} | {faults or ''} |")
    return lines


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--healthy", type=int, default=20)
    parser.add_argument("--stack")
    options = parser.parse_args()
    home = DemoHome.default()
    client = RunnerClient.of(lambda: Session(the_stack(home, options.stack), home, make_display()), owner=False)
    print(describe_machine(), end="\n\n")
    faults = 0
    if options.runs:
        started = time.monotonic()
        runs = [verify_all(client) for _ in range(options.runs)]
        minutes = (time.monotonic() - started) / 60 / options.runs
        every = [
            one
            for run in runs
            for one in run
            if one["kind"] == str(Kind.INCIDENT) and one["proven"] and one["recovered"]
        ]
        faults = sum(bool(one["fault"]) for run in runs for one in run)
        print("\n".join(table(runs)))
        if every:
            longest = max(every, key=proven_seconds)
            print(f"\nInjection to proven: median {statistics.median(map(proven_seconds, every)):.0f} s, ", end="")
            print(f"longest {proven_seconds(longest):.0f} s ({longest['name']}).")
            slowest = max(every, key=share_of_recovery)
            print(f"Recovery: median {statistics.median(one['seconds']['recovery'] for one in every):.0f} s, ", end="")
            print(f"nearest to its limit {slowest['seconds']['recovery']:.0f} s ", end="")
            print(f"of {catalog()[slowest['name']].recovery_seconds} s ({slowest['name']}).")
        print(f"{options.runs} runs of {minutes:.0f} min; {faults} faults; ", end="")
        print(f"{sum(len(one['leaks']) for run in runs for one in run)} leaks.")
    false = [client.run("/watch", {"seconds": HEALTHY_SECONDS}, quiet) for _ in range(options.healthy)]
    proofs = sum(len(one["false_proofs"]) for one in false)
    if false:
        print(f"{proofs} false proofs in {len(false)} healthy runs of {HEALTHY_SECONDS} s.")
    return 1 if faults or proofs else 0


if __name__ == "__main__":
    sys.exit(main())
