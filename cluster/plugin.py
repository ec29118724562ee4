"""The last CNI plugin of a pod's network: no process of a pod starts before the policies know the pod's address.

Copied into the folder of plugins, with the interpreter's name in front; it may use the standard library only.
"""

import json
import os
import socket
import sys
from typing import Any

_SECONDS = 10
_FAILED = 100  # the first code that the specification leaves to plugins


def main() -> int:
    """Do what CNI_COMMAND says; returns the exit code."""
    command = os.environ["CNI_COMMAND"]
    if command == "VERSION":
        print(json.dumps({"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}))
        return 0
    config = json.load(sys.stdin)
    if command == "ADD":
        problem = _tell(config, command)
        if problem:
            print(json.dumps({"cniVersion": config["cniVersion"], "code": _FAILED, "msg": problem}))
            return 1
        print(json.dumps(config["prevResult"]))
    elif command == "DEL":
        # Whatever it answers: a pod must be able to end.
        _tell(config, command)
    return 0


def _tell(config: dict[str, Any], command: str) -> str:
    """Tell the enforcer about the pod and wait until its rules are in force; returns what is wrong."""
    pairs = [pair.partition("=") for pair in os.environ.get("CNI_ARGS", "").split(";")]
    arguments = {name: value for name, _, value in pairs}
    result: dict[str, Any] = config.get("prevResult") or {}
    addresses: list[dict[str, str]] = result.get("ips") or [{"address": ""}]
    message = {
        "command": command,
        "id": os.environ.get("CNI_CONTAINERID", ""),
        "namespace": arguments.get("K8S_POD_NAMESPACE", ""),
        "name": arguments.get("K8S_POD_NAME", ""),
        "address": addresses[0]["address"].partition("/")[0],
    }
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_SECONDS)
            client.connect(config["socket"])
            with client.makefile("rw", encoding="utf-8") as stream:
                stream.write(json.dumps(message) + "\n")
                stream.flush()
                return str(json.loads(stream.readline())["problem"])
    except (OSError, ValueError, KeyError) as error:
        return f"the lab cluster's enforcer of NetworkPolicies does not answer: {error}"


if __name__ == "__main__":
    sys.exit(main())
