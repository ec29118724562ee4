"""A stack that nobody touches, on either target: nothing to change, everything well, as plain Pulumi sees it too."""

import pytest
from live_stack import Stack

pytestmark = pytest.mark.integration


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    assert stack.json("up", stack.name)["changes"] == {}


def test_a_preview_shows_nothing_to_change(stack: Stack) -> None:
    assert stack.json("preview", stack.name)["changes"] == {}


def test_plain_pulumi_sees_the_same_stack(stack: Stack) -> None:
    refreshed = stack.pulumi("refresh", "--yes", "--skip-preview")
    assert refreshed.returncode == 0, refreshed.stdout + refreshed.stderr
    previewed = stack.pulumi("preview", "--expect-no-changes", "--diff")
    assert previewed.returncode == 0, previewed.stdout + previewed.stderr


def test_every_service_is_up_and_within_its_memory(stack: Stack) -> None:
    status = stack.json("status", stack.name)
    assert status["ready"], status
    assert {one["name"] for one in status["services"] if not one["ok"]} == set()
    running = [one for one in status["services"] if one["since"]]
    assert len(running) > 10
    assert all(0 < one["memory_mib"] < one["memory_limit_mib"] for one in running), running
    assert sum(one["restarts"] for one in status["services"]) == 0


def test_the_document_of_status_has_the_same_shape_everywhere(stack: Stack) -> None:
    status = stack.json("status", stack.name)
    assert set(status) == {"stack", "ready", "services", "remarks"}
    assert set(status["services"][0]) == {
        "name",
        "state",
        "ok",
        "since",
        "restarts",
        "memory_mib",
        "memory_limit_mib",
        "addresses",
        "image",
    }


def test_plain_outputs_mask_secrets(stack: Stack) -> None:
    shown = stack.pulumi("stack", "output", "--json").stdout
    assert stack.settings["GRAFANA_TOKEN"] not in shown
    assert "[secret]" in shown


def test_an_unknown_service_is_a_sentence_with_the_nearest_name(stack: Stack) -> None:
    result = stack.demo("logs", "postgre", "--stack", stack.name)
    assert result.returncode == 1
    assert result.stderr.strip() == "demo: No service is named postgre; did you mean postgres?"


def test_logs_show_what_a_service_wrote(stack: Stack) -> None:
    assert '"event":"request"' in stack.succeed("logs", "sample-app", "--stack", stack.name, "-n", "20").stdout
    assert stack.succeed("logs", "database", "--stack", stack.name).stdout, "a task that has ended has a log too"


def test_the_file_of_settings_is_for_its_owner_alone(stack: Stack) -> None:
    stack.succeed("env", stack.name)
    assert (stack.checkout / ".env").stat().st_mode & 0o777 == 0o600
