"""Configuration files, certificates, the image archive: everything that can be made without a cluster."""

import base64
import io
import ipaddress
import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.archive import write_archive
from cluster.certificates import LEAVES, ensure_certificates
from cluster.configs import kubeconfig, render
from cluster.layout import API_URL, NODE_ADDRESS, REGISTRY, SERVICE_ADDRESS, Layout
from cluster.manifests import manifests
from cluster.parts import PART_NAMES, make_parts
from cluster.processes import Part
from cluster.programs import Programs
from infra import versions
from infra.paths import LAB_CONTEXT, REPOSITORY

LAYOUT = Layout(Path("/home/cluster"))


def configs(*, systemd: bool = False) -> dict[str, str]:
    return render(LAYOUT, Path("/usr/sbin/runc"), systemd=systemd)


def parts(**changed: str) -> dict[str, Part]:
    programs = Programs(**{name: Path("/bin") / name for name in Programs.__dataclass_fields__})
    return make_parts(LAYOUT, programs, {**configs(), **changed})


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "pki"
    assert ensure_certificates(folder)
    return folder


@pytest.mark.parametrize("systemd", [False, True])
def test_containerd_and_kubelet_agree_on_who_makes_cgroups(systemd: bool) -> None:
    made = configs(systemd=systemd)
    containerd: dict[str, Any] = tomllib.loads(made["containerd.toml"])
    cri = containerd["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["containerd"]["runtimes"]["runc"]["options"]["SystemdCgroup"] is systemd
    assert yaml.safe_load(made["kubelet.yaml"])["cgroupDriver"] == ("systemd" if systemd else "cgroupfs")


def test_containerd_keeps_to_the_clusters_folder_and_survives_without_rights_over_scores() -> None:
    containerd: dict[str, Any] = tomllib.loads(configs()["containerd.toml"])
    assert containerd["root"] == "/home/cluster/containerd"
    assert containerd["grpc"]["address"] == "/home/cluster/run/containerd.sock"
    assert containerd["plugins"]["io.containerd.grpc.v1.cri"]["restrict_oom_score_adj"] is True


def test_the_registry_is_on_loopback_and_containerd_reaches_it_without_tls() -> None:
    made = configs()
    assert yaml.safe_load(made["registry.yaml"])["http"]["addr"] == REGISTRY
    assert tomllib.loads(made[f"registries/{REGISTRY}/hosts.toml"]) == {"server": f"http://{REGISTRY}"}


def test_a_pods_network_ends_with_the_policies() -> None:
    document = json.loads(configs()["cni/10-compass-demo-lab.conflist"])
    assert [plugin["type"] for plugin in document["plugins"]] == ["bridge", "compass-demo-policies"]
    assert document["plugins"][1]["socket"] == str(LAYOUT.policy_socket)


def test_kubelet_and_kube_proxy_leave_the_machines_iptables_alone() -> None:
    made = configs()
    assert yaml.safe_load(made["kubelet.yaml"])["makeIPTablesUtilChains"] is False
    assert yaml.safe_load(made["proxy.yaml"])["mode"] == "nftables"


def test_the_users_kubeconfig_holds_its_keys_and_one_context(keys: Path) -> None:
    document = yaml.safe_load(kubeconfig(Layout(keys.parent), "admin", embedded=True))
    assert document["current-context"] == LAB_CONTEXT
    assert [one["name"] for one in document["contexts"]] == [LAB_CONTEXT]
    assert document["clusters"][0]["cluster"]["server"] == API_URL
    user = document["users"][0]["user"]
    assert base64.b64decode(user["client-key-data"]) == (keys / "admin.key").read_bytes()


def test_keys_are_readable_by_their_owner_alone_and_are_made_once(keys: Path) -> None:
    before = (keys / "ca.crt").read_bytes()
    assert not ensure_certificates(keys)
    assert (keys / "ca.crt").read_bytes() == before
    assert {path.stat().st_mode & 0o777 for path in keys.glob("*.key")} == {0o600}


def test_every_certificate_is_the_authoritys_and_says_what_it_is_for(keys: Path) -> None:
    authority = x509.load_pem_x509_certificate((keys / "ca.crt").read_bytes())
    for leaf in LEAVES:
        certificate = x509.load_pem_x509_certificate((keys / f"{leaf.name}.crt").read_bytes())
        certificate.verify_directly_issued_by(authority)
        uses = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        assert (ExtendedKeyUsageOID.SERVER_AUTH in uses) == bool(leaf.hosts), leaf.name
        assert (ExtendedKeyUsageOID.CLIENT_AUTH in uses) == leaf.client, leaf.name
        groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        assert [group.value for group in groups] == ([leaf.group] if leaf.group else []), leaf.name


def test_the_api_is_known_by_the_addresses_that_pods_and_the_machine_use(keys: Path) -> None:
    certificate = x509.load_pem_x509_certificate((keys / "apiserver.crt").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
    assert {NODE_ADDRESS, SERVICE_ADDRESS, "127.0.0.1"} <= addresses
    assert all(ipaddress.ip_address(address).is_private for address in addresses)


def test_half_made_keys_are_made_again(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("half")
    assert ensure_certificates(tmp_path)
    x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())


def test_parts_start_in_the_documented_order() -> None:
    assert tuple(parts()) == PART_NAMES


def test_no_part_has_a_secret_among_its_arguments() -> None:
    for part in parts().values():
        assert "PRIVATE" not in " ".join(part.command)


def test_a_part_is_started_again_when_its_configuration_has_changed() -> None:
    same, other = parts(), parts(**{"kubelet.yaml": "maxPods: 5\n"})
    assert same["kubelet"].fingerprint == parts()["kubelet"].fingerprint
    assert [name for name in PART_NAMES if same[name].fingerprint != other[name].fingerprint] == ["kubelet"]


def test_an_archive_is_an_image_of_the_program_alone(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(b"\x7fELF")
    write_archive(tmp_path / "image.tar", "example.local/pause:v1", program)
    with tarfile.open(tmp_path / "image.tar") as archive:

        def blob(descriptor: dict[str, Any]) -> bytes:
            found = archive.extractfile("blobs/" + str(descriptor["digest"]).replace(":", "/"))
            assert found
            content = found.read()
            assert len(content) == descriptor["size"]
            return content

        index_file = archive.extractfile("index.json")
        assert index_file
        descriptor = json.loads(index_file.read())["manifests"][0]
        assert descriptor["annotations"]["io.containerd.image.name"] == "example.local/pause:v1"
        manifest = json.loads(blob(descriptor))
        assert json.loads(blob(manifest["config"]))["config"] == {"Entrypoint": ["/program"]}
        with tarfile.open(fileobj=io.BytesIO(blob(manifest["layers"][0]))) as layer:
            assert [(one.name, one.mode) for one in layer] == [("program", 0o755)]


def test_the_pinned_module_is_the_version_that_is_told() -> None:
    module = (REPOSITORY / "toolchain/go/kubernetes/go.mod").read_text()
    assert f"k8s.io/kubernetes v{versions.KUBERNETES}\n" in module
    staging = [line for line in module.splitlines() if "=>" in line]
    assert len(staging) == 31
    assert all(line.endswith(f"v0.{versions.KUBERNETES.partition('.')[2]}") for line in staging)


def test_dns_runs_as_nobody_and_listens_on_the_port_that_policies_name() -> None:
    documents = {document["kind"]: document for document in manifests().values()}
    template = documents["Deployment"]["spec"]["template"]["spec"]
    assert template["securityContext"]["runAsNonRoot"] is True
    assert {port["containerPort"] for port in template["containers"][0]["ports"]} == {53}
