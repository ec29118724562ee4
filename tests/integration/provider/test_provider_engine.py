"""The provider under the real engine: create, nothing to change, update, replace, refresh, a failed wait, destroy."""

import os
import re
from pathlib import Path

import pulumi
import pulumi_kubernetes as kubernetes
import pytest
from pulumi import automation

from infra.paths import DemoHome
from kubernetes_provider.paths import Json, Object
from toolchain.kubernetes_plugin import BUILTIN_VERSION, install_builtin
from toolchain.pulumi_tools import PulumiTools

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.timeout(400),
    # The SDK leaves the event loops of its threads open.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

MANY = 50


class Program:
    """A program whose resources the test changes between runs."""

    def __init__(self, access: tuple[str, str], labels: Object, image: str) -> None:
        self.access, self.labels, self.image = access, labels, image
        self.namespace = labels["compass-demo/stack"] + "-engine"
        self.job, self.arguments = "once", ["-version"]
        self.corefile = ".:5353 {\n    errors\n}\n"
        self.command = ["-conf", "/etc/coredns/Corefile"]
        self.many = 0

    def __call__(self) -> None:
        provider = kubernetes.Provider(
            "cluster",
            kubeconfig=self.access[0],
            context=self.access[1],
            opts=pulumi.ResourceOptions(version=BUILTIN_VERSION),
        )
        options = pulumi.ResourceOptions(provider=provider)
        namespace = kubernetes.core.v1.Namespace(
            "namespace", metadata={"name": self.namespace, "labels": self.labels}, opts=options
        )
        inside = pulumi.ResourceOptions(provider=provider, parent=namespace)

        def metadata(name: str) -> Json:
            return {"name": name, "namespace": namespace.metadata.name, "labels": self.labels}

        files = kubernetes.core.v1.ConfigMap(
            "files", metadata=metadata("files"), data={"Corefile": self.corefile}, opts=inside
        )
        secret = kubernetes.core.v1.Secret(
            "secret",
            metadata=metadata("secret"),
            string_data={"password": pulumi.Output.secret("geheim-geheim")},
            opts=inside,
        )
        pod: Json = {
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "main",
                    "image": self.image,
                    "imagePullPolicy": "Never",
                    "args": self.command,
                    "readinessProbe": {"tcpSocket": {"port": 5353}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "files", "mountPath": "/etc/coredns"}],
                }
            ],
            "volumes": [{"name": "files", "configMap": {"name": files.metadata.name}}],
        }
        labels = {"app": "web"}
        service = kubernetes.core.v1.Service(
            "web",
            metadata=metadata("web"),
            spec={"selector": labels, "ports": [{"port": 53, "target_port": 5353}]},
            opts=inside,
        )
        kubernetes.apps.v1.Deployment(
            "web",
            metadata=metadata("web"),
            spec={
                "replicas": 1,
                "selector": {"match_labels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod},
            },
            opts=inside,
        )
        once: Json = {"name": "main", "image": self.image, "imagePullPolicy": "Never", "args": self.arguments}
        kubernetes.batch.v1.Job(
            "once",
            metadata=metadata(self.job),
            spec={"backoff_limit": 0, "template": {"spec": {"restart_policy": "Never", "containers": [once]}}},
            opts=inside,
        )
        for number in range(self.many):
            kubernetes.core.v1.ConfigMap(
                f"many-{number}", metadata=metadata(f"many-{number}"), data={"n": str(number)}, opts=inside
            )
        pulumi.export("address", service.spec.cluster_ip)
        pulumi.export("data", secret.data)


@pytest.fixture
def program(access: tuple[str, str], labels: Object, image: str) -> Program:
    return Program(access, labels, image)


@pytest.fixture
def stack(program: Program, tmp_path: Path) -> automation.Stack:
    tools = PulumiTools.present(DemoHome.default())
    if tools is None:
        pytest.skip("needs a Pulumi engine: ./demo up makes one")
    install_builtin(tmp_path / "pulumi")
    (tmp_path / "state").mkdir()
    environment = {
        "PATH": os.pathsep.join([str(tools.directory), os.environ["PATH"]]),
        "PULUMI_HOME": str(tmp_path / "pulumi"),
        "PULUMI_BACKEND_URL": (tmp_path / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    return automation.create_or_select_stack(
        "test",
        project_name="provider-test",
        program=program,
        opts=automation.LocalWorkspaceOptions(
            env_vars=environment, pulumi_command=automation.PulumiCommand(str(tools.directory.parent))
        ),
    )


def changes(summary: automation.UpdateSummary) -> dict[str, int]:
    return {str(getattr(kind, "value", kind)): count for kind, count in (summary.resource_changes or {}).items()}


def processor_seconds() -> float:
    """What this process and its children that have ended took so far."""
    return sum(os.times()[:4])


def test_a_stack_lives_through_everything(stack: automation.Stack, program: Program, tmp_path: Path) -> None:
    try:
        preview = stack.preview()
        assert {str(getattr(kind, "value", kind)): count for kind, count in preview.change_summary.items()} == {
            "create": 8
        }

        result = stack.up()
        assert changes(result.summary) == {"create": 8}
        assert re.fullmatch(r"[0-9.]+", result.outputs["address"].value)
        assert result.outputs["data"].secret
        state = stack.export_stack().deployment or {}
        versions = {
            resource["inputs"]["version"]
            for resource in state["resources"]
            if resource["type"] == "pulumi:providers:kubernetes"
        }
        assert versions == {BUILTIN_VERSION}
        [file] = (tmp_path / "state").rglob("stacks/provider-test/test.json")
        assert "geheim-geheim" not in file.read_text()

        assert changes(stack.up().summary) == {"same": 8}
        assert changes(stack.refresh().summary) == {"same": 8}

        program.corefile += "# changed\n"
        assert changes(stack.up().summary) == {"same": 7, "update": 1}

        program.arguments = ["-version", "-quiet"]
        assert changes(stack.up().summary) == {"same": 7, "replace": 1}

        # Another job, which fails, and back: the first one is still there, and stays.
        program.job, program.arguments = "twice", ["-conf", "/nowhere"]
        with pytest.raises(automation.CommandError, match="BackoffLimitExceeded"):
            stack.up()
        program.job, program.arguments = "once", ["-version", "-quiet"]
        stack.up()
        assert changes(stack.refresh().summary) == {"same": 8}

        program.command = ["-conf", "/nowhere"]
        with pytest.raises(automation.CommandError, match=r"ends again and again \(exit code 1"):
            stack.up()
        # The state has it as not ready, so that the next run waits for it again.
        program.command = ["-conf", "/etc/coredns/Corefile"]
        stack.up()
        assert changes(stack.up().summary) == {"same": 8}
    finally:
        stack.destroy()
    assert not (stack.export_stack().deployment or {}).get("resources")


def test_nothing_to_change_is_quick(stack: automation.Stack, program: Program) -> None:
    program.many = MANY
    try:
        stack.up()
        # Processor time, not the clock: other tests may run beside this one. Two cores share it.
        used: list[float] = []
        for _ in range(3):
            before = processor_seconds()
            assert changes(stack.up().summary) == {"same": MANY + 8}
            used.append(processor_seconds() - before)
        assert min(used) < 5, used
    finally:
        stack.destroy()
