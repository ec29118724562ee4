"""The commands."""

import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from docker.errors import DockerException
from requests import RequestException
from rich.console import Console
from rich.table import Table

from cli.check_postmortem import check_postmortem
from cli.cluster import app as cluster_app
from cli.doctor import examine
from cli.incident import app as incident_app
from cli.progress import make_display
from cli.session import Session, existing_stacks, the_stack
from infra.errors import DemoError
from infra.paths import DemoHome

__all__ = ["main"]

app = typer.Typer(
    help="The COMPASS demo: a payment service on PostgreSQL under a full observability stack.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cluster_app, name="cluster")
app.add_typer(incident_app, name="incident")
console = Console()

_INTERRUPTED: Final = 130

StackArgument = Annotated[str | None, typer.Argument(help="The stack (Pulumi.<name>.yaml); needed if several exist.")]
StackOption = Annotated[str | None, typer.Option("--stack", "-s", help="The stack; needed if several exist.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with JSON on standard output.")]


def _session(stack: str | None) -> Session:
    home = DemoHome.default()
    return Session(the_stack(home, stack), home, make_display())


def _print_json(document: Any) -> None:  # noqa: ANN401 # whatever a command answers with
    print(json.dumps(document, indent=2))


@app.command()
def up(stack: StackArgument = None, as_json: JsonOption = False) -> None:
    """Bring the stack up; without a name the one that exists, else local, else airgap."""
    from cli.env_file import renew_env_files  # noqa: PLC0415
    from cli.platforms.docker_engine import ensure_engine  # noqa: PLC0415
    from cli.up import bring_up, choose_stack  # noqa: PLC0415 # importing costs a second that others save

    home, display = DemoHome.default(), make_display()
    if stack is None:
        if not existing_stacks(home):
            # Whether a registry answers is asked through the engine.
            ensure_engine(home, display, Session("local", home, display).config.docker_host)
        stack, why = choose_stack(home)
        display.say(f"Using the stack {stack}: {why}.")
    session = Session(the_stack(home, stack), home, display)
    session.platform.make_reachable()
    changes, outputs = bring_up(session)
    renewed = renew_env_files(session) if changes else []
    if as_json:
        _print_json({"stack": stack, "changes": changes.by_operation})
        return
    display.say(f"The stack {stack} is ready ({changes.made()}).")
    display.say(f"  status page            {outputs['GRAFANA_UI_URL']} (any user name; the password is the token)")
    display.say(f"  sample app             {outputs['SAMPLE_APP_URL']}")
    written = f"written again: {', '.join(map(str, renewed))}" if renewed else "writes .env for COMPASS"
    display.say(f"  connection settings    ./demo env   ({written})")
    for remark in session.platform.remarks():
        display.say(f"  {remark}")


@app.command()
def preview(stack: StackArgument = None, as_json: JsonOption = False) -> None:
    """Show what up would change; change nothing."""
    from cli.up import choose_stack  # noqa: PLC0415
    from cli.up import preview as run_preview  # noqa: PLC0415

    home, display = DemoHome.default(), make_display()
    name = stack or choose_stack(home)[0]
    session = Session(the_stack(home, name), home, display)
    changes = run_preview(session)
    if as_json:
        _print_json({"stack": name, "changes": changes.by_operation})
        return
    for operation, names in sorted(changes.by_operation.items()):
        console.print(f"{operation}: {', '.join(names)}", highlight=False)
    display.say(f"Stack {name}: {changes.planned()}.")


@app.command()
def status(stack: StackArgument = None, as_json: JsonOption = False) -> None:
    """Show every service, its state, memory and addresses; exit code 1 unless all is well."""
    from cli.status import stack_status, status_table  # noqa: PLC0415

    found = stack_status(_session(stack))
    if as_json:
        _print_json(found.as_json())
    else:
        console.print(status_table(found))
        for remark in found.remarks:
            console.print(remark, highlight=False, markup=False)
    if not found.ready:
        raise typer.Exit(1)


@app.command()
def env(
    stack: StackArgument = None,
    file: Annotated[Path, typer.Option("--file", "-f", help="Where to write the settings.")] = Path(".env"),
    inside: Annotated[bool, typer.Option("--inside", help="Addresses for a container that joins the network.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write COMPASS's connection settings as a .env file (mode 0600)."""
    from cli.env_file import connection_settings, write_env_file  # noqa: PLC0415

    session = _session(stack)
    if as_json:
        settings, network = connection_settings(session, inside=inside)
        _print_json({"settings": settings, "network": network} if inside else settings)
        return
    write_env_file(session, file, inside=inside)
    console.print(f"Wrote {file} for the stack {session.stack}; it holds a token.", highlight=False)


@app.command()
def logs(
    service: Annotated[str, typer.Argument(help="A service, sidecar or task.")],
    stack: StackOption = None,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 100,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what it writes.")] = False,
) -> None:
    """Print what a container wrote."""
    from cli.logs import show_logs  # noqa: PLC0415

    show_logs(_session(stack), service, lines=lines, follow=follow)


@app.command()
def tunnel(stack: StackArgument = None) -> None:
    """Serve the ports of a stack on a cluster on this machine's loopback addresses; Ctrl-C ends it."""
    _session(stack).platform.tunnel()


@app.command()
def reap(
    context: Annotated[
        str | None, typer.Option("--context", help="The cluster; without it, those that this checkout's stacks name.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option("--kubeconfig", help="The file that holds the context.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
) -> None:
    """Delete demos whose time to live is over, by label: needs rights in the cluster and no state."""
    from cli.reap import reap_clusters  # noqa: PLC0415

    reap_clusters(DemoHome.default(), context, kubeconfig, make_display().say, yes=yes, dry_run=dry_run)


@app.command()
def destroy(
    stack: StackArgument = None,
    everything: Annotated[bool, typer.Option("--all", help="Remove images, tools and caches too.")] = False,
    forget: Annotated[
        bool,
        typer.Option("--forget", help="Remove only what is on this machine: the stack's cluster is gone for good."),
    ] = False,
) -> None:
    """Remove everything of the stack: containers or pods, network, volumes, files."""
    from cli.destroy import (  # noqa: PLC0415
        remove_lab_cluster,
        remove_stack,
        remove_tools_and_images,
        upstream_images,
    )

    home, display = DemoHome.default(), make_display()
    if stack is None and everything and not existing_stacks(home):
        stack_name = None
    else:
        stack_name = the_stack(home, stack)
        session = Session(stack_name, home, display)
        remove_stack(session, forget=forget)
        display.say(f"Nothing is left of the stack {stack_name}{' on this machine' if forget else ''}.")
    if everything:
        engine = Session(stack_name or "local", home, display).engine
        with display.running():
            remove_lab_cluster(home, display)
            remove_tools_and_images(home, engine, upstream_images(), display)
        display.say("Nothing is left of the demo but this checkout (its .venv may be deleted too) and Docker itself.")


@app.command()
def images(stack: StackArgument = None) -> None:
    """Pull, build or push the stack's images, for a plain pulumi up."""
    home, display = DemoHome.default(), make_display()
    session = Session(the_stack(home, stack), home, display)
    session.platform.make_reachable()
    with display.running():
        session.platform.prepare_images()
    display.say(f"All {len(session.topology.images)} images of the stack {session.stack} are where it needs them.")


@app.command("shell-env")
def shell_env() -> None:
    """Print the environment for plain pulumi: eval "$(./demo shell-env)"."""
    from toolchain.pulumi_tools import PulumiTools  # noqa: PLC0415

    home, display = DemoHome.default(), make_display()
    with display.running():
        tools = PulumiTools.ensure(home.make_private(), display)
    if "PULUMI_CONFIG_PASSPHRASE_FILE" in tools.environment():
        print("unset PULUMI_CONFIG_PASSPHRASE")
    for name, value in tools.environment().items():
        print(f"export {name}={shlex.quote(value)}")


@app.command()
def topology(stack: StackArgument = None) -> None:
    """Draw what a stack consists of, as a Mermaid flow chart."""
    from infra.topology.diagram import to_mermaid  # noqa: PLC0415

    home = DemoHome.default()
    session = Session(the_stack(home, stack), home, make_display())
    print(to_mermaid(session.topology), end="")


@app.command()
def doctor(stack: StackArgument = None, as_json: JsonOption = False) -> None:
    """Say what this machine has of what the demo needs; exit code 1 if something is missing."""
    from cli.up import likely_stack  # noqa: PLC0415

    home = DemoHome.default()
    name = stack or likely_stack(home)
    findings = list(examine(home, lambda n: Session(n, home, make_display()), name))
    if as_json:
        _print_json([{"what": f.what, "ok": f.ok, "detail": f.detail} for f in findings])
    else:
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for finding in findings:
            table.add_row("[green]✓[/]" if finding.ok else "[red]✗[/]", finding.what, finding.detail)
        console.print(table)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command("test")
def run_suites(
    suite: Annotated[
        str | None, typer.Argument(help="unit, integration, incidents, kubernetes; all without a name.")
    ] = None,
) -> None:
    """Run the tests: lint, types and unit tests in seconds, then the real stack, incidents, the lab cluster."""
    from cli.testing import SUITES, run_tests  # noqa: PLC0415

    if suite is not None and suite not in SUITES:
        raise DemoError(f"There is no suite {suite}; there are {', '.join(SUITES)}.")
    run_tests((suite,) if suite else tuple(SUITES), DemoHome.default(), make_display())


app.command("check-postmortem")(check_postmortem)


def main() -> None:
    """Run a command; a fault that a person can mend is one sentence and exit code 1."""
    if os.name == "posix":
        # A terminal that closes or a supervisor that stops us means the same as Ctrl-C.
        # So does Ctrl-C itself where a script started us in the background, which makes a shell ignore it.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler)
    code: object = 1
    try:
        app(prog_name="./demo")
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
    except (DockerException, RequestException, OSError) as error:
        # Nobody foresaw it, but it is the machine's fault and not the program's: an engine that went away, a full disk.
        print(f"demo: {type(error).__name__}: {error}. Mend the cause and run it again.", file=sys.stderr)
    except SystemExit as ending:
        # The way in which a command always ends; Typer has turned Ctrl-C into its exit code too.
        code = ending.code or 0
        if code == _INTERRUPTED:
            print("demo: stopped; run the same command again to go on.", file=sys.stderr)
    _leave(code)


def _leave(code: object) -> NoReturn:
    """Exit; after a fault at once, for a thread of the program may still wait for a container that nobody needs."""
    if code == 0:
        sys.exit(0)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1)
