"""``demo cluster``: a Kubernetes cluster of one node on this machine."""

import json
import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.prompt import Confirm
from rich.table import Table

from cli.progress import Display, make_display
from infra.errors import ToolError
from infra.paths import LAB_CONTEXT, DemoHome

__all__ = ["app"]

app = typer.Typer(
    help="A real Kubernetes cluster of one node on this machine (Linux, root), for tests and laptops without one.",
    no_args_is_help=True,
)
console = Console()


@app.command()
def up(as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON on standard output.")] = False) -> None:
    """Start the cluster, or what of it does not run."""
    from cluster.layout import REGISTRY, Layout  # noqa: PLC0415 # the certificates' library costs 0.2 s
    from cluster.lifecycle import bring_up, exclusively  # noqa: PLC0415
    from cluster.programs import check_machine, ensure_programs, missing_packages  # noqa: PLC0415

    home, display = DemoHome.default(), make_display()
    check_machine()
    if missing := missing_packages():
        _announce(missing, display)
    layout = Layout.of(home.make_private())
    with exclusively(layout), display.running():
        started = bring_up(layout, ensure_programs(home, display), display)
    if as_json:
        print(json.dumps({"started": started, "kubeconfig": str(layout.kubeconfig), "context": LAB_CONTEXT}, indent=2))
        return
    what = f"started {', '.join(started)}" if started else "all of it ran already"
    display.say(f"The lab cluster is ready ({what}).")
    display.say(f"  kubeconfig  {layout.kubeconfig} (context {LAB_CONTEXT})")
    display.say(f"  registry    {REGISTRY} (plain HTTP on this machine's loopback address)")


@app.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Answer with JSON on standard output.")] = False,
) -> None:
    """Show every part with its process and memory; exit code 1 unless all of it serves."""
    from cluster.layout import Layout  # noqa: PLC0415
    from cluster.status import cluster_status  # noqa: PLC0415

    found = cluster_status(Layout.of(DemoHome.default()))
    if as_json:
        print(json.dumps(found.as_json(), indent=2))
    else:
        table = Table(
            title=f"lab cluster: {'ready' if found.ready else 'NOT READY'}, {found.pods} pods",
            title_style="bold green" if found.ready else "bold red",
            box=None,
            padding=(0, 2, 0, 0),
        )
        for column in ("part", "state", "process", "memory"):
            table.add_column(column, justify="right" if column in {"process", "memory"} else "left")
        for part in found.parts:
            state = "[green]runs[/]" if part.pid else "[red]gone[/]"
            table.add_row(part.name, state, str(part.pid or ""), f"{part.memory_mib:.0f} MiB" if part.pid else "")
        console.print(table)
        console.print(f"API {found.server}: {found.api}; node: {found.node}", highlight=False, markup=False)
    if not found.ready:
        raise typer.Exit(1)


@app.command()
def down(
    everything: Annotated[
        bool, typer.Option("--all", help="Remove container images and the registry's content too.")
    ] = False,
) -> None:
    """Stop the cluster and remove everything in it, volumes included."""
    from cluster.layout import Layout  # noqa: PLC0415
    from cluster.lifecycle import exclusively  # noqa: PLC0415
    from cluster.programs import installed_programs  # noqa: PLC0415
    from cluster.teardown import take_down  # noqa: PLC0415

    home, display = DemoHome.default(), make_display()
    layout = Layout.of(home)
    if layout.root.exists():
        with exclusively(layout), display.running():
            take_down(layout, installed_programs(home), display, everything=everything)
    kept = "" if everything else " (images and the registry's content are kept for the next one; --all removes them)"
    display.say(f"Nothing is left of the lab cluster{kept}.")


def _announce(packages: list[str], display: Display) -> None:
    """Say what will be installed, and ask a person; a script has said what it wants by calling us."""
    names = " ".join(packages)
    if sys.stdin.isatty() and not Confirm.ask(f"The lab cluster needs Debian's {names}. Install with apt-get?"):
        raise ToolError(f"The lab cluster needs {names}; install them and try again.")
    display.say(f"Installing {names} with apt-get.")
