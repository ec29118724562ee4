"""The engine's events: what a person sees of them, and which of its errors are told."""

# pyright: reportPrivateUsage=false

import threading
from typing import Any

import pytest
from fake_display import FakeDisplay
from pulumi.automation import CommandResult, errors, events
from stubs import always

from cli import pulumi_stack
from cli.engine_events import Changes, EngineEvents, deletions
from cli.pulumi_stack import PulumiStack
from infra.errors import DemoError

URN = "urn:pulumi:airgap::compass-demo::compass:demo:Demo$compass:demo:Service$docker:index"


def metadata(name: str, noun: str = "container:Container", op: str = "create", **more: Any) -> dict[str, Any]:
    return {"op": op, "urn": f"{URN}/{noun}::{name}", "type": f"docker:index/{noun}", "provider": "", **more}


def event(kind: str, document: dict[str, Any]) -> events.EngineEvent:
    return events.EngineEvent.from_json({"sequence": 1, "timestamp": 1, kind: document})  # pyright: ignore[reportUnknownMemberType]


def start(name: str, noun: str = "container:Container", op: str = "create") -> events.EngineEvent:
    return event("resourcePreEvent", {"metadata": metadata(name, noun, op)})


def end(name: str, noun: str = "container:Container", op: str = "create") -> events.EngineEvent:
    return event("resOutputsEvent", {"metadata": metadata(name, noun, op)})


def error(message: str, urn: str = "", severity: str = "error") -> events.EngineEvent:
    return event("diagnosticEvent", {"message": message, "severity": severity, "urn": urn, "color": "raw"})


def followed(*happened: events.EngineEvent, planning: bool = False) -> tuple[EngineEvents, list[str]]:
    display = FakeDisplay()
    follow = EngineEvents(display, planning=planning)
    for one in happened:
        follow(one)
    return follow, display.told


@pytest.mark.parametrize(
    ("name", "noun", "op", "step"),
    [
        ("db-container", "container:Container", "create", "db"),
        ("data-volume", "volume:Volume", "create", "volume data"),
        ("network-bridge", "network:Network", "create", "network"),
        ("network-clients", "network:Network", "create", "network-clients"),
        ("images-postgres", "remoteImage:RemoteImage", "create", "image postgres"),
        ("db-container", "container:Container", "delete", "delete db"),
        ("data-volume", "volume:Volume", "update", "update volume data"),
        ("x", "plugin:Plugin", "create", "plugin x"),
    ],
)
def test_a_resource_is_a_step_from_its_start_to_its_end(name: str, noun: str, op: str, step: str) -> None:
    follow, told = followed(start(name, noun, op))
    assert told == [f"start {step}"]
    follow(end(name, noun, op))
    assert told == [f"start {step}", f"done {step}"]


def test_what_destroy_will_delete_is_known_from_the_state_by_the_names_of_its_steps() -> None:
    kinds = {
        "db-container": "container:Container",
        "data-volume": "volume:Volume",
        "network-bridge": "network:Network",
        "images-postgres": "remoteImage:RemoteImage",
    }
    resources = [metadata(name, noun) for name, noun in kinds.items()]
    resources.append({"urn": "urn:pulumi:airgap::compass-demo::compass:demo:Demo::demo", "type": "compass:demo:Demo"})
    _, told = followed(*(start(name, noun, op="delete") for name, noun in kinds.items()))
    assert [f"start {name}" for name in deletions(resources)] == told
    assert len(told) == 3


@pytest.mark.parametrize("op", ["same", "read", "refresh", "discard"])
def test_what_does_not_change_is_no_step_and_no_change(op: str) -> None:
    follow, told = followed(start("db-container", op=op), end("db-container", op=op))
    assert (told, follow.changes) == ([], {})


def test_a_planned_step_is_dropped_when_its_resource_is_not_made() -> None:
    display = FakeDisplay()
    follow = EngineEvents(display)
    for one in (start("db-container", op="same"), start("web-container", op="update"), start("new-container")):
        follow(one)
    assert display.dropped == ["db", "web"]


def test_components_and_providers_are_no_steps() -> None:
    component = {"op": "create", "urn": "urn:x::demo", "type": "compass:demo:Demo", "provider": ""}
    provider = {"op": "create", "urn": "urn:x::default", "type": "pulumi:providers:docker", "provider": ""}
    follow, told = followed(*(event("resourcePreEvent", {"metadata": one}) for one in (component, provider)))
    assert (told, follow.changes) == ([], {})


def test_changes_are_counted_by_operation() -> None:
    follow, _ = followed(
        start("db-container"), start("data-volume", "volume:Volume"), start("web-container", op="delete")
    )
    assert follow.changes == {"create": ["db", "volume data"], "delete": ["web"]}
    assert Changes(follow.changes).planned() == "2 to create, 1 to delete"
    assert Changes(follow.changes).made() == "2 created, 1 deleted"
    assert Changes(follow.changes)
    assert not Changes({})
    assert Changes({}).planned() == Changes({}).made() == "nothing to change"


def test_steps_may_overlap() -> None:
    _, told = followed(start("a-container"), start("b-container"), end("a-container"), end("b-container"))
    assert told == ["start a", "start b", "done a", "done b"]


def test_an_operation_that_fails_is_a_failed_step() -> None:
    _, told = followed(
        start("db-container"), event("resOpFailedEvent", {"metadata": metadata("db-container"), "status": 0})
    )
    assert told == ["start db", "failed db"]


def test_a_hook_that_fails_ends_its_step_and_is_told_in_its_own_words() -> None:
    message = '<{%fg 1%}>after hook "readiness" failed: db is not ready after 5 seconds:\n    update failed, giving up'
    follow, told = followed(
        start("db-container"), error(message, f"{URN}/container:Container::db-container"), end("db-container")
    )
    assert told == ["start db", "failed db"]
    assert follow.faults == ["db is not ready after 5 seconds:\n    update failed, giving up"]


@pytest.mark.parametrize(
    "message",
    [
        "update failed",
        "<{%reset%}>preview failed<{%reset%}>",
        "update failed: 1 error occurred:\n\t* db is not ready",
        "rpc error: resource monitor shut down while waiting on step's done channel",
        "2 errors occurred:",
        "  ",
    ],
)
def test_what_only_repeats_that_something_failed_is_dropped(message: str) -> None:
    assert followed(error(message))[0].faults == []


def test_a_fault_is_told_once_and_warnings_are_none() -> None:
    follow, _ = followed(error("disk full"), error("disk full\n"), error("old plugin", severity="warning"))
    assert follow.faults == ["disk full"]


def test_the_outputs_are_those_of_the_stack_alone() -> None:
    def outputs(kind: str, values: dict[str, str] | None) -> events.EngineEvent:
        new = {"type": kind, "urn": "u", "id": "", "parent": "", "provider": "", "inputs": {}, "outputs": values}
        return event("resOutputsEvent", {"metadata": {"op": "same", "urn": "u", "type": kind, "new": new}})

    follow, _ = followed(
        outputs("pulumi:pulumi:Stack", {"A": "1"}),
        outputs("compass:demo:Demo", {"B": "2"}),
        outputs("pulumi:pulumi:Stack", None),
    )
    assert follow.outputs == {"A": "1"}


def test_what_the_engine_left_open_has_failed() -> None:
    follow, told = followed(start("db-container"), start("web-container"))
    follow.close()
    assert told[2:] == ["failed db", "failed web"]
    follow.close()
    assert len(told) == 4


def explained(problem: Exception, faults: list[str]) -> str:
    return str(PulumiStack("airgap", FakeDisplay())._explain(problem, faults))


def failed(stderr: str) -> CommandResult:
    return CommandResult("Updating (airgap)", stderr, 255)


def test_the_faults_are_the_message() -> None:
    assert explained(errors.CommandError(failed("error: other")), ["db died", "web died"]) == "db died\nweb died"


def test_a_locked_stack_is_told_what_to_do_whatever_the_faults_are() -> None:
    told = explained(errors.ConcurrentUpdateError(failed("the stack is currently locked by 1 lock(s)")), ["noise"])
    assert told.startswith("Another pulumi is working on the stack airgap; wait for it.")


def test_without_faults_the_engines_error_lines_are_the_message() -> None:
    problem = errors.CommandError(failed("warning: old\nerror: no stack named 'x' found\n  error: and more"))
    assert explained(problem, []) == "no stack named 'x' found\nand more"
    assert "something strange" in explained(errors.CommandError(failed("something strange")), [])


def test_any_other_exception_is_named() -> None:
    assert explained(FileNotFoundError("pulumi"), []) == "FileNotFoundError: pulumi"


def test_outputs_of_a_stack_that_does_not_exist_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Missing:
        def outputs(self) -> None:
            raise errors.StackNotFoundError(failed("error: no stack named 'airgap' found"))

    monkeypatch.setattr(pulumi_stack, "open_stack", always(Missing()))
    with pytest.raises(DemoError, match=r"^no stack named 'airgap' found$"):
        PulumiStack("airgap", FakeDisplay()).outputs()


def test_a_replacement_is_one_change_for_a_person() -> None:
    changes = Changes({"create-replacement": ["db"], "delete-replaced": ["db"], "update": ["web"]})
    assert changes.planned() == "1 to replace, 1 to update"
    assert changes.made() == "1 replaced, 1 updated"


def test_a_preview_shows_no_step_for_what_it_only_plans() -> None:
    follow, told = followed(start("db-container"), end("db-container"), planning=True)
    assert (told, follow.changes) == ([], {"create": ["db"]})


def test_the_programs_own_sentence_is_told_once_and_without_the_engines_words() -> None:
    said = [error(f"{words}Port 1 is in use.") for words in ("", "an unhandled error occurred: ")]
    follow, _ = followed(*said)
    assert follow.faults == ["Port 1 is in use."]


def test_after_an_interrupt_the_engine_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_on = threading.Event()
    monkeypatch.setattr(pulumi_stack, "_interrupt_engine", passed_on.set)

    class Interrupted(threading.Event):
        """The end of an operation, the first wait for which a signal interrupts."""

        def wait(self, timeout: float | None = None) -> bool:
            if not passed_on.is_set():
                raise KeyboardInterrupt
            self.set()
            return super().wait(timeout)

    ended = Interrupted()
    assert PulumiStack("test", FakeDisplay())._wait_for(ended)
    assert passed_on.is_set()
    assert ended.is_set()
