"""The configuration: what is accepted, and the sentence for what is not."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from images.catalog import images
from infra.config import PROJECT, DemoConfig, Distribution, TargetKind, load_stack_config, stack_names
from infra.errors import ConfigError
from infra.paths import REPOSITORY
from infra.topology import names
from infra.topology.demo import demo_topology
from infra.topology.site import Site


def parse(**values: Any) -> DemoConfig:
    return DemoConfig.parse(values, where="Pulumi.test.yaml")


def test_strings_are_read_as_pulumi_hands_them_out() -> None:
    config = parse(seedPayments="20000", trafficRate="7", distribution="packages")
    assert (config.seed_payments, config.traffic_rate, config.distribution) == (20000, 7, Distribution.PACKAGES)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"grafanPort": 1}, "unknown key compass-demo:grafanPort; did you mean compass-demo:grafanaPort?"),
        ({"zzz": 1}, "unknown key compass-demo:zzz; known keys: allowLocalState"),
        ({"seedPayments": "many"}, "compass-demo:seedPayments"),
        ({"seedPayments": 5}, "greater than or equal to 10000"),
        ({"appPort": 70000}, "less than or equal to 65535"),
        ({"distribution": "debian"}, "Input should be 'upstream' or 'packages'"),
        ({"portOffset": 40000, "prometheusPort": 60000}, "portOffset 40000 moves port 60000 past 65535"),
        ({"gatewayToken": "short"}, "must be at least 16 letters"),
        ({"gatewayToken": "with a blank and more than sixteen"}, "must be at least 16 letters"),
        ({"imageMirror": "https://x"}, "compass-demo:imageMirror"),
        ({"grafana_port": 3000}, "unknown key compass-demo:grafana_port"),
        ({"postgresPassword": "short"}, "must be at least 16 letters"),
        ({"namespace": "No"}, "compass-demo:namespace"),
        ({"namespace": "kube-public", "target": "kubernetes"}, "the namespace kube-public is the cluster's own"),
        ({"namespace": "default", "target": "kubernetes"}, "the namespace default is the cluster's own"),
        ({"imageRegistry": "https://registry"}, "compass-demo:imageRegistry"),
        ({"ingressHost": "*.example.com"}, "compass-demo:ingressHost"),
        ({"owner": "team a"}, "compass-demo:owner"),
        ({"sampleAppReplicas": 11}, "less than or equal to 10"),
        ({"timeToLiveHours": -1}, "greater than or equal to 0"),
        ({"secretsSource": "vault"}, "Input should be 'generated' or 'config'"),
        ({"sampleAppReplicas": 2}, "the target docker cannot honour sampleAppReplicas"),
        ({"ingressHost": "demo.example.com"}, "the target docker cannot honour ingressHost"),
        (
            {"target": "kubernetes", "sampleAppReplicas": 3, "sampleAppMaxReplicas": 2},
            "sampleAppMaxReplicas 2 is below sampleAppReplicas",
        ),
        (
            {"target": "kubernetes", "gatewayAuthentication": "loopback-open"},
            "gatewayAuthentication must be required on kubernetes",
        ),
    ],
)
def test_a_wrong_key_or_value_is_one_sentence_with_the_file(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(**values)
    assert sentence in str(raised.value)
    assert all(line.startswith("Pulumi.test.yaml: ") for line in str(raised.value).splitlines())


def test_a_secret_is_not_repeated_in_the_message() -> None:
    with pytest.raises(ConfigError) as raised:
        parse(gatewayToken="hunter2hunter2!!")
    assert "hunter2" not in str(raised.value)
    assert "hunter2hunter2xx" not in repr(parse(gatewayToken="hunter2hunter2xx"))
    with pytest.raises(ConfigError) as raised:
        parse(paymentAppPassword="hunter2hunter2!!")
    assert "hunter2" not in str(raised.value)


def test_an_empty_token_means_a_generated_one() -> None:
    assert parse(gatewayToken="").gateway_token is None


def test_the_offset_moves_every_port() -> None:
    config = parse(portOffset=1000)
    fields = [name for name in DemoConfig.model_fields if name.endswith("_port")]
    assert len(fields) == 9
    assert all(config.host_port(name) == getattr(config, name) + 1000 for name in fields)


def test_pulumi_yaml_documents_every_key_with_type_default_and_description() -> None:
    declared = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    fields = {f"{PROJECT}:{field.alias}": field for field in DemoConfig.model_fields.values()}
    assert set(declared) == set(fields)
    for key, entry in declared.items():
        assert set(entry) == {"type", "default", "description"}, key
        default = DemoConfig.parse({key.removeprefix(f"{PROJECT}:"): entry["default"]}, where="Pulumi.yaml")
        assert default == DemoConfig(), f"{key}: the documented default is not the model's"


@pytest.mark.parametrize("stack", stack_names(REPOSITORY))
def test_every_committed_stack_is_valid(stack: str) -> None:
    assert load_stack_config(REPOSITORY, stack)


def test_an_unknown_stack_is_named_with_those_that_exist() -> None:
    with pytest.raises(
        ConfigError,
        match=r"Unknown stack 'prod': there is no Pulumi.prod.yaml; known stacks: airgap, cloud, lab, local",
    ):
        load_stack_config(REPOSITORY, "prod")


def test_broken_yaml_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "Pulumi.x.yaml").write_text("config: [")
    with pytest.raises(ConfigError, match=r"Pulumi.x.yaml: not valid YAML"):
        load_stack_config(tmp_path, "x")


def test_other_namespaces_and_encrypted_values_are_left_to_pulumi(tmp_path: Path) -> None:
    document = {
        "config": {"docker:host": "x", f"{PROJECT}:gatewayToken": {"secure": "v1:abc"}, f"{PROJECT}:trafficRate": 5}
    }
    (tmp_path / "Pulumi.x.yaml").write_text(yaml.safe_dump(document))
    assert load_stack_config(tmp_path, "x") == DemoConfig(traffic_rate=5)


def test_every_secret_of_the_topology_has_a_key_that_is_secret() -> None:
    config = load_stack_config(REPOSITORY, "local")
    for name in demo_topology(Site(stack="local", config=config, images=images(config))).secrets:
        config = parse(**{DemoConfig.secret_key(name): "0123456789abcdef"})
        assert config.secret(name) == "0123456789abcdef"
        assert "0123456789abcdef" not in repr(config)
    assert parse().secret(names.POSTGRES_EXPORTER_PASSWORD) is None


def test_the_stacks_on_a_cluster_hold_no_secret_and_cloud_explains_every_key() -> None:
    for stack in ("lab", "cloud"):
        document = yaml.safe_load((REPOSITORY / f"Pulumi.{stack}.yaml").read_text())
        assert load_stack_config(REPOSITORY, stack).target is TargetKind.KUBERNETES
        assert not any(isinstance(value, dict) for value in document["config"].values())
    text = (REPOSITORY / "Pulumi.cloud.yaml").read_text()
    assert "encryptionsalt" not in yaml.safe_load(text)
    lines = text.splitlines()
    # What a comment explains: the line above, or the one above its neighbours.
    for number, line in enumerate(lines):
        if line.startswith(f"  {PROJECT}:"):
            above = next(one for one in reversed(lines[:number]) if not one.startswith(f"  {PROJECT}:"))
            assert above.startswith("  #") or line == f"  {PROJECT}:target: kubernetes", line


def test_the_file_of_the_cloud_stack_has_every_key_that_is_for_a_cluster() -> None:
    declared = yaml.safe_load((REPOSITORY / "Pulumi.yaml").read_text())["config"]
    ours = {key for key, entry in declared.items() if entry["description"].startswith("Kubernetes only.")}
    assert ours <= set(yaml.safe_load((REPOSITORY / "Pulumi.cloud.yaml").read_text())["config"])
