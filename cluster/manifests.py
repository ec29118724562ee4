"""The objects that every lab cluster has: DNS, the storage class, the rights of the provisioner and the policies."""

from typing import Any, Final

from cluster.layout import DNS_ADDRESS, DOMAIN
from cluster.programs import COREDNS_IMAGE

__all__ = ["DNS_PATH", "PROVISIONER", "STORAGE_CLASS", "manifests"]

STORAGE_CLASS: Final = "lab"
PROVISIONER: Final = "compass-demo/lab"

_RBAC: Final = "rbac.authorization.k8s.io"
_SYSTEM: Final = "kube-system"
DNS_PATH: Final = f"/apis/apps/v1/namespaces/{_SYSTEM}/deployments/coredns"

_COREFILE: Final = f""".:53 {{
  errors
  health {{
    lameduck 2s
  }}
  ready
  kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
    pods insecure
    fallthrough in-addr.arpa ip6.arpa
  }}
  cache 5
}}
"""


def manifests() -> dict[str, dict[str, Any]]:
    """Path in the API -> object, in the order in which they are applied."""
    return {
        "/apis/storage.k8s.io/v1/storageclasses/lab": {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": STORAGE_CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            # The volume's folder belongs to the user of the pod that mounts it, which must be known by then.
            "volumeBindingMode": "WaitForFirstConsumer",
        },
        **_rights(
            "provisioner",
            "User",
            [
                _rule("", ["persistentvolumes"], ["get", "list", "watch", "create", "patch", "delete"]),
                _rule("", ["persistentvolumeclaims", "pods"], ["list", "watch"]),
                _rule("storage.k8s.io", ["storageclasses"], ["list", "watch"]),
            ],
        ),
        **_rights(
            "policies",
            "User",
            [
                _rule("", ["pods", "namespaces"], ["list", "watch"]),
                _rule("networking.k8s.io", ["networkpolicies"], ["list", "watch"]),
            ],
        ),
        **_rights(
            "coredns",
            "ServiceAccount",
            [
                _rule("", ["services", "pods", "namespaces"], ["list", "watch"]),
                _rule("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
            ],
        ),
        f"/api/v1/namespaces/{_SYSTEM}/serviceaccounts/coredns": {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "coredns", "namespace": _SYSTEM},
        },
        f"/api/v1/namespaces/{_SYSTEM}/configmaps/coredns": {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "coredns", "namespace": _SYSTEM},
            "data": {"Corefile": _COREFILE},
        },
        DNS_PATH: _dns_deployment(),
        f"/api/v1/namespaces/{_SYSTEM}/services/kube-dns": {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": _SYSTEM, "labels": {"k8s-app": "kube-dns"}},
            "spec": {
                "clusterIP": DNS_ADDRESS,
                "selector": {"k8s-app": "kube-dns"},
                "ports": [
                    {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "targetPort": 53, "protocol": "TCP"},
                ],
            },
        },
    }


def _dns_deployment() -> dict[str, Any]:
    container = {
        "name": "coredns",
        "image": COREDNS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "ports": [
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
        "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "coredns", "namespace": _SYSTEM, "labels": {"k8s-app": "kube-dns"}},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"k8s-app": "kube-dns"}},
            "template": {
                "metadata": {"labels": {"k8s-app": "kube-dns"}},
                "spec": {
                    "serviceAccountName": "coredns",
                    "dnsPolicy": "Default",
                    "priorityClassName": "system-cluster-critical",
                    "securityContext": {
                        "runAsNonRoot": True,
                        "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                        # Port 53 without a capability: NetworkPolicies name the port that the pod listens on.
                        "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
                    },
                    "containers": [container],
                    "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
                },
            },
        },
    }


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, list[str]]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _rights(part: str, kind: str, rules: list[dict[str, list[str]]]) -> dict[str, dict[str, Any]]:
    """A cluster role of a part and who has it."""
    name = f"compass-demo:{part}"
    subject = (
        {"kind": "User", "name": name, "apiGroup": _RBAC}
        if kind == "User"
        else {"kind": kind, "name": part, "namespace": _SYSTEM}
    )
    return {
        f"/apis/{_RBAC}/v1/clusterroles/{name}": {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name},
            "rules": rules,
        },
        f"/apis/{_RBAC}/v1/clusterrolebindings/{name}": {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": name},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": name},
            "subjects": [subject],
        },
    }
