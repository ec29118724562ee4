"""What goes wrong on real machines: one clear sentence, a non-zero exit, and the next up continues."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest
from eventually import eventually
from live_stack import Stack, make_stack, what_is_left

from cli.platforms.docker import remove_leftovers
from infra.paths import REPOSITORY
from toolchain.engine import Engine

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory, engine: Engine) -> Generator[Stack]:
    """A small stack that is broken again and again."""
    one = make_stack(tmp_path_factory.mktemp("fragile"), "ifault", 21000, seedPayments=10000)
    remove_leftovers(engine, one.name)
    yield one
    one.demo("destroy", one.name)
    remove_leftovers(engine, one.name)


def sentence(result: "subprocess.CompletedProcess[str]") -> str:
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr[result.stderr.index("demo: ") :]


def test_an_unknown_stack(fragile: Stack) -> None:
    assert "Unknown stack 'production': there is no Pulumi.production.yaml" in sentence(
        fragile.demo("up", "production")
    )


def test_an_unknown_key(fragile: Stack) -> None:
    fragile.configure(trafficRat=5)
    try:
        assert "unknown key compass-demo:trafficRat; did you mean compass-demo:trafficRate?" in sentence(
            fragile.demo("up", fragile.name)
        )
        created = fragile.pulumi("stack", "init")
        assert created.returncode == 0, created.stderr
        plain = fragile.pulumi("preview")
        assert plain.returncode != 0
        assert "did you mean compass-demo:trafficRate?" in plain.stdout + plain.stderr
        assert "Traceback" not in plain.stdout + plain.stderr
    finally:
        fragile.configure(trafficRat=None)


def test_a_mistyped_value(fragile: Stack) -> None:
    fragile.configure(seedPayments="many")
    try:
        assert f"Pulumi.{fragile.name}.yaml: compass-demo:seedPayments" in sentence(fragile.demo("up", fragile.name))
    finally:
        fragile.configure(seedPayments=10000)


def test_a_port_in_use_names_the_process_and_the_key(fragile: Stack, engine: Engine) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 3000 + fragile.offset))
        taken.listen()
        told = sentence(fragile.demo("up", fragile.name))
    assert f"Port {3000 + fragile.offset} for gateway is in use by" in told
    assert f"(process {os.getpid()})" in told
    assert "compass-demo:grafanaPort" in told
    assert what_is_left(engine, fragile.name) == []


def test_no_docker_engine(fragile: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    assert "No Docker engine answers at unix://" in sentence(fragile.demo("up", fragile.name))


WITHOUT_RIGHTS = """
import os
from infra.errors import DemoError
from toolchain.engine import Engine
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    Engine.connect()
except DemoError as error:
    print(error)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without rights")
def test_a_docker_engine_that_this_user_may_not_use() -> None:
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_RIGHTS], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert "this user may not use it; add the user to the group docker" in result.stdout


def test_a_container_that_dies_at_start_shows_its_last_lines_and_the_next_up_continues(
    fragile: Stack, engine: Engine
) -> None:
    config = fragile.checkout / "observability" / "loki" / "loki.yaml"
    good = config.read_text()
    config.write_text(good + "\nno_such_block: {}\n")
    started = time.monotonic()
    told = sentence(fragile.demo("up", fragile.name))
    assert "loki died while it was starting" in told
    assert "no_such_block" in told
    assert time.monotonic() - started < 60
    config.write_text(good)
    fragile.succeed("up", fragile.name)
    assert fragile.json("status", fragile.name)["ready"]
    fragile.succeed("destroy", fragile.name)
    assert what_is_left(engine, fragile.name) == []


def test_a_task_that_fails_shows_its_last_lines_and_runs_again(fragile: Stack) -> None:
    source = fragile.checkout / "infra" / "topology" / "postgres.py"
    good = source.read_text()
    source.write_text(
        good.replace(
            '"PAYMENT_DB_HOST": database.service', '"PAYMENT_DB_HOST": database.service, "PAYMENT_SUPERUSER": "nobody"'
        )
    )
    assert source.read_text() != good
    told = sentence(fragile.demo("up", fragile.name))
    assert "The task database ended with exit code" in told
    source.write_text(good)
    fragile.succeed("up", fragile.name)
    fragile.succeed("destroy", fragile.name)


def test_an_image_that_cannot_be_built_is_named_with_its_last_lines(fragile: Stack) -> None:
    dockerfile = fragile.checkout / "images" / "python-service" / "Dockerfile"
    good = dockerfile.read_text()
    dockerfile.write_text(good + "COPY missing /missing\n")
    try:
        told = sentence(fragile.demo("up", fragile.name))
        assert "cannot be built" in told
        assert "missing" in told
    finally:
        dockerfile.write_text(good)


def test_a_registry_that_does_not_answer(fragile: Stack) -> None:
    fragile.configure(distribution="upstream", imageMirror="127.0.0.1:9/mirror")
    try:
        told = sentence(fragile.demo("up", fragile.name))
        assert "127.0.0.1:9/mirror/" in told
        assert "compass-demo:imageMirror" in told
    finally:
        fragile.configure(distribution="packages", imageMirror=None)


def test_a_second_up_at_the_same_time_is_refused(fragile: Stack, engine: Engine) -> None:
    first = fragile.start("up", fragile.name)
    eventually(lambda: engine.container(fragile.container("postgres")), seconds=60)
    told = sentence(fragile.demo("up", fragile.name))
    assert f"Another ./demo is working on the stack {fragile.name}" in told
    output, _ = first.communicate(timeout=180)
    assert first.returncode == 0, output
    fragile.succeed("destroy", fragile.name)


def updates(parent: int) -> list[psutil.Process]:
    """The running ``pulumi up`` below a process."""
    found: list[psutil.Process] = []
    for process in psutil.Process(parent).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it ended while we looked
            if process.name() == "pulumi" and "up" in process.cmdline():
                found.append(process)
    return found


@pytest.mark.parametrize("seconds", [1.0, 3.0, 5.0])
def test_pulumi_killed_in_the_middle_of_up(fragile: Stack, engine: Engine, seconds: float) -> None:
    running = fragile.start("up", fragile.name)
    engine_process = eventually(lambda: updates(running.pid), seconds=60)[0]
    time.sleep(seconds)  # a kill at any moment must do; these moments are spread over the run
    engine_process.kill()
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 1, output
    fragile.succeed("up", fragile.name)
    assert fragile.json("status", fragile.name)["ready"]
    assert fragile.json("up", fragile.name)["changes"] == {}
    fragile.succeed("destroy", fragile.name)
    assert what_is_left(engine, fragile.name) == []


def test_ctrl_c_leaves_a_state_that_the_next_up_continues_from(fragile: Stack, engine: Engine) -> None:
    running = fragile.start("up", fragile.name)
    eventually(lambda: updates(running.pid), seconds=60)
    eventually(lambda: engine.container(fragile.container("postgres")), seconds=60)
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130, output
    assert "run the same command again to go on" in output
    fragile.succeed("up", fragile.name)
    fragile.succeed("destroy", fragile.name)


def test_ctrl_c_and_then_destroy_leaves_nothing(fragile: Stack, engine: Engine) -> None:
    running = fragile.start("up", fragile.name)
    eventually(lambda: engine.container(fragile.container("postgres")), seconds=60)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    fragile.succeed("destroy", fragile.name)
    assert what_is_left(engine, fragile.name) == []


def test_plain_pulumi_brings_the_stack_up_and_destroys_it(fragile: Stack, engine: Engine) -> None:
    for command in (("stack", "init"), ("up", "--yes", "--skip-preview"), ("preview", "--expect-no-changes")):
        result = fragile.pulumi(*command)
        assert result.returncode == 0, result.stdout + result.stderr
    assert fragile.json("status", fragile.name)["ready"]
    assert fragile.json("up", fragile.name)["changes"] == {}
    result = fragile.pulumi("destroy", "--yes", "--skip-preview")
    assert result.returncode == 0, result.stdout + result.stderr
    assert what_is_left(engine, fragile.name) == []
    fragile.succeed("destroy", fragile.name)


def test_a_preview_before_the_first_up_changes_nothing(fragile: Stack, engine: Engine) -> None:
    assert fragile.json("preview", fragile.name)["changes"]["create"]
    assert what_is_left(engine, fragile.name) == []
    assert "No stack exists yet" in sentence(fragile.demo("destroy"))


def test_lost_secrets_replace_the_data_that_was_made_with_them(fragile: Stack) -> None:
    fragile.succeed("up", fragile.name)
    (fragile.home / "stacks" / fragile.name / "secrets.json").unlink()
    fragile.succeed("up", fragile.name)
    assert fragile.json("status", fragile.name)["ready"]
    fragile.succeed("destroy", fragile.name)
