"""``demo check-postmortem``: which claims of a post-mortem the stack's telemetry confirms."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.errors import DemoError
from infra.paths import DemoHome

if TYPE_CHECKING:
    from postmortem.report import Checked

__all__ = ["check_postmortem"]

_BACK = re.compile(r"now(?:-(\d{1,6})([smhd]))?")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST_BYTES = 4 * 1024 * 1024


def check_postmortem(
    file: Annotated[Path, typer.Argument(help="The post-mortem, in Markdown.")],
    stack: Annotated[str | None, typer.Option("--stack", "-s", help="The stack; needed if several exist.")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Start of its window: ISO 8601 or now-2h; else the report's own times.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="End of its window; else the report's own times.")] = None,
    tolerance: Annotated[
        float, typer.Option(help="Share by which a claimed value may be off.", min=0.0, max=1.0)
    ] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON on standard output.")] = False,
) -> None:
    """Check what a post-mortem says against the stack; exit code 1 unless it has claims and all hold."""
    from cli.env_file import connection_settings  # noqa: PLC0415 # importing costs a second that others save
    from cli.progress import make_display  # noqa: PLC0415
    from cli.session import Session, the_stack  # noqa: PLC0415
    from postmortem.report import check_report  # noqa: PLC0415
    from postmortem.stack import Stack  # noqa: PLC0415

    text = _read(file)
    window = {"start": _moment(start, "--from"), "end": _moment(end, "--to")}
    home = DemoHome.default()
    settings, _ = connection_settings(Session(the_stack(home, stack), home, make_display()), inside=False)
    checked = check_report(text, Stack(settings), **window, tolerance=tolerance)
    if as_json:
        print(json.dumps({"file": str(file), **checked.as_json()}, indent=2))
    else:
        _show(checked, Console())
    if not checked.holds:
        raise typer.Exit(1)


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            content = opened.read(_LONGEST_BYTES + 1)
    except OSError as error:
        raise DemoError(f"{file} cannot be read: {error.strerror}.") from None
    if len(content) > _LONGEST_BYTES:
        raise DemoError(f"{file} is larger than {_LONGEST_BYTES} bytes; that is no post-mortem.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise DemoError(f"{file} is not UTF-8 text.") from None


def _moment(given: str | None, option: str) -> datetime | None:
    if given is None:
        return None
    back = _BACK.fullmatch(given)
    if back:
        return datetime.now(UTC) - (timedelta(**{_UNITS[back[2]]: int(back[1])}) if back[1] else timedelta())
    try:
        parsed = datetime.fromisoformat(given)
    except ValueError:
        raise DemoError(f"{option} {given} is neither ISO 8601, such as 2026-11-21T14:30:00Z, nor now-2h.") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _show(checked: "Checked", console: Console) -> None:
    window = checked.window
    console.print(
        f"Window {window.start:%Y-%m-%d %H:%M:%S} to {window.end:%Y-%m-%d %H:%M:%S} UTC, "
        f"values within {checked.tolerance:.0%}.",
        highlight=False,
    )
    if checked.verdicts:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("", "line", "kind", "claim", "says", "observed"):
            table.add_column(column, overflow="fold")
        for verdict in checked.verdicts:
            claim = verdict.claim
            said = ", ".join(
                value.text if value.relation == "about" else f"{value.relation} {value.text}" for value in claim.values
            )
            when = f" at {claim.at:%H:%M:%S}" if claim.at else ""
            table.add_row(
                "[green]✓[/]" if verdict.holds else "[red]✗[/]",
                str(claim.line),
                str(claim.kind),
                escape(claim.code),
                escape((said or "is there") + when),
                escape(verdict.observed),
            )
        console.print(table)
    if checked.remarks:
        console.print("\nNot checkable:", highlight=False)
        for remark in checked.remarks:
            console.print(f"  line {remark.line}: {escape(remark.text)} ({remark.why})", highlight=False)
    held = sum(verdict.holds for verdict in checked.verdicts)
    outcome = f"{held} of {len(checked.verdicts)} claims hold." if checked.verdicts else "No claim can be checked."
    console.print(f"\n{outcome}", highlight=False)
