"""``demo incident``: break the stack on purpose, see it proven, end it, judge a fix."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cli.incident_client import RunnerClient, RunnerError
from cli.incident_view import matrix, watching
from cli.progress import make_display
from cli.session import Session, the_stack
from incidents.catalog import UnknownIncidentError, catalog, find
from incidents.model import Incident, Kind
from incidents.pages import answer_page, question_page
from infra.errors import DemoError
from infra.paths import DemoHome

__all__ = ["app"]

app = typer.Typer(help="Database incidents: start, prove, end, score.", no_args_is_help=True)
console = Console()

NameArgument = Annotated[str, typer.Argument(help="An incident; ./demo incident list names them.")]
StackOption = Annotated[str | None, typer.Option("--stack", "-s", help="The stack; needed if several exist.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with JSON on standard output.")]
TakeOverOption = Annotated[
    bool, typer.Option("--take-over", help="Take the runner from whoever holds it (with the owner's token).")
]


def _client(stack: str | None, *, owner: bool = False) -> RunnerClient:
    home = DemoHome.default()
    return RunnerClient.of(lambda: Session(the_stack(home, stack), home, make_display()), owner=owner)


def _find(name: str) -> Incident:
    try:
        return find(name)
    except UnknownIncidentError as error:
        raise DemoError(str(error)) from None


def _print_json(document: Any) -> None:  # noqa: ANN401  # whatever a command answers with
    print(json.dumps(document, indent=2))


@app.command("list")
def list_incidents(as_json: JsonOption = False) -> None:
    """Name every incident, the control and the decoys."""
    found = list(catalog().values())
    if as_json:
        _print_json([{"name": one.name, "title": one.title, "kind": str(one.kind)} for one in found])
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "name", "what it is about"):
        table.add_column(column)
    for one in found:
        table.add_row(str(one.rank) if one.kind is Kind.INCIDENT else "", one.name, escape(one.title))
    console.print(table)


@app.command()
def show(
    name: NameArgument,
    answer: Annotated[bool, typer.Option("--answer", help="Also the cause, the evidence and the fixes.")] = False,
) -> None:
    """Describe one; without --answer nothing of its cause."""
    incident = _find(name)
    console.print(answer_page(incident) if answer else question_page(incident), highlight=False, markup=False)


@app.command()
def start(
    name: NameArgument,
    stack: StackOption = None,
    concurrent: Annotated[bool, typer.Option("--concurrent", help="Although another one is active.")] = False,
    take_over: TakeOverOption = False,
    as_json: JsonOption = False,
) -> None:
    """Inject one, and see every piece of its evidence; what does not show is ended again."""
    incident = _find(name)
    wish = {"name": incident.name, "concurrent": concurrent, "take_over": take_over}
    with watching(f"start {incident.name}") as watch:
        result = _client(stack, owner=take_over).run("/start", wish, watch)
    if as_json:
        _print_json(result)
        return
    seen = ", ".join(f"{signal} {seconds:.0f} s" for signal, seconds in result["seconds"].items())
    console.print(
        f"{incident.name} is active and proven ({seen or 'nothing to see, as it should be'}).", highlight=False
    )
    console.print(f"End it with ./demo incident stop {incident.name}.", highlight=False)


@app.command()
def stop(
    name: Annotated[str | None, typer.Argument(help="Which; without a name whatever is active.")] = None,
    stack: StackOption = None,
    take_over: TakeOverOption = False,
    as_json: JsonOption = False,
) -> None:
    """End one or all, and prove that the baseline is back; may be repeated."""
    wish = {"name": _find(name).name if name else None, "take_over": take_over}
    with watching("stop") as watch:
        result = _client(stack, owner=take_over).run("/stop", wish, watch)
    if as_json:
        _print_json(result)
        return
    if not result["stopped"]:
        console.print("Nothing was active.")
    for one, seconds in result["seconds"].items():
        console.print(f"{one} is ended; the baseline was back after {seconds:.0f} s.", highlight=False)


@app.command()
def status(stack: StackOption = None, as_json: JsonOption = False) -> None:
    """Say what is active, who holds the runner, and whether an incident could be started."""
    found = _client(stack).get("/status")
    if as_json:
        _print_json(found)
        return
    for one in found["active"]:
        note = f" {one['note']}" if one["note"] else ""
        console.print(
            f"{one['name']}: {one['phase']} for {one['seconds']} s, started by {one['holder']}.{note}", highlight=False
        )
    if not found["active"]:
        console.print("No incident is active.")
    last = found["last_run"]
    if last and last["ended"]:
        console.print(f"Last run: {last['name']}, {last['outcome']}.", highlight=False)
    if found["doing"]:
        console.print(f"The runner is busy with: {found['doing']}.", highlight=False)
    if found["lease"]:
        console.print(f"Incidents are run by {found['lease']['holder']}.", highlight=False)
    fault = found["stack"]["fault"]
    console.print(f"The stack is not healthy: {fault}." if fault else "The stack is healthy.", highlight=False)


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Which.")] = None,
    stack: StackOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them, one after another.")] = False,
    take_over: TakeOverOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run incidents from the baseline to the baseline; exit code 1 unless all are proven and leak nothing."""
    if bool(names) == everything:
        raise DemoError("Name incidents, or say --all.")
    chosen = list(catalog().values()) if everything else [_find(name) for name in names or ()]
    client = _client(stack, owner=take_over)
    results: list[dict[str, Any]] = []
    for number, incident in enumerate(chosen):
        wish = {"name": incident.name, "take_over": take_over, "shared_baseline": number > 0}
        with watching(f"verify {incident.name} ({number + 1} of {len(chosen)})") as watch:
            try:
                result = client.run("/verify", wish, watch)
            except RunnerError as error:
                result = _failed(incident, str(error))
        results.append(result)
    if as_json:
        _print_json(results)
    else:
        console.print(matrix(results))
    if any(result["fault"] for result in results):
        raise typer.Exit(1)


def _failed(incident: Incident, fault: str) -> dict[str, Any]:
    return {
        "name": incident.name,
        "kind": str(incident.kind),
        "proven": False,
        "recovered": False,
        "seconds": {},
        "alert": None if incident.alert is None else incident.alert.name,
        "leaks": [],
        "confused_with": [],
        "fault": fault,
    }


@app.command()
def score(
    name: NameArgument,
    stack: StackOption = None,
    fix: Annotated[
        Path | None,
        typer.Option("--fix", help="Folder with fix.sql and/or settings.toml; without it, fix it by hand now."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a fix of the active incident; exit code 1 unless it is right and did no harm."""
    incident = _find(name)
    wish: dict[str, Any] = {"name": incident.name, **(_read_fix(fix) if fix else {})}
    with watching(f"score {incident.name}") as watch:
        result = _client(stack).run("/score", wish, watch)
    if as_json:
        _print_json(result)
    else:
        _say_score(result)
    if not result["passed"]:
        raise typer.Exit(1)


def _say_score(result: dict[str, Any]) -> None:
    seconds = result["seconds_to_recovery"]
    held = (
        f"held for 60 s, from {seconds:.0f} s after the fix"
        if result["service_level_held"]
        else "did not hold for 60 s"
    )
    console.print(f"cause          {'gone' if result['cause_fixed'] else 'still there'}", highlight=False)
    console.print(f"service level  {held}", highlight=False)
    for sentence in result["unsafe"]:
        console.print(f"unsafe         {sentence}", highlight=False, markup=False)
    if result["error"]:
        console.print(f"error          {result['error']}", highlight=False, markup=False)
    console.print(f"[bold]{'The fix passes.' if result['passed'] else 'The fix does not pass.'}[/]", highlight=False)


def _read_fix(folder: Path) -> dict[str, str]:
    if not folder.is_dir():
        raise DemoError(f"{folder} is no folder; a fix is a folder with fix.sql and/or settings.toml.")
    found: dict[str, str] = {}
    for key, file in (("fix_sql", folder / "fix.sql"), ("fix_settings", folder / "settings.toml")):
        if file.is_file():
            try:
                found[key] = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise DemoError(f"{file} cannot be read: {error}.") from None
    if not found:
        raise DemoError(f"{folder} has neither fix.sql nor settings.toml.")
    return found
