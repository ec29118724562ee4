"""Speaks to a provider plugin as Pulumi's engine does, over gRPC to a process of its own."""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# The generated stubs are not typed in a way that pyright follows.

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import provider_pb2 as protocol
from pulumi.runtime.proto import provider_pb2_grpc, status_pb2

from infra.paths import REPOSITORY
from kubernetes_provider.kinds import BY_TOKEN
from kubernetes_provider.paths import Json, Object
from kubernetes_provider.wire import decode, encode

TOKENS = {kind.name: token for token, kind in BY_TOKEN.items()}


class Refused(Exception):  # noqa: N818 # it is the answer that the tests want
    """What the provider refused; ``partial`` is what goes into the state all the same."""

    def __init__(self, error: grpc.RpcError) -> None:
        call: Any = error
        super().__init__(call.details())
        self.message: str = call.details()
        self.code: grpc.StatusCode = call.code()
        self.partial: Object | None = None
        for key, value in call.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                failed = protocol.ErrorResourceInitFailed()
                status_pb2.Status.FromString(value).details[0].Unpack(failed)
                self.partial = decode(failed.properties)


class Plugin:
    """One configured provider."""

    def __init__(self, stub: provider_pb2_grpc.ResourceProviderStub) -> None:
        self.stub: Any = stub

    def call(self, method: str, request: Any, seconds: float = 250) -> Any:
        try:
            return getattr(self.stub, method)(request, timeout=seconds)
        except grpc.RpcError as error:
            raise Refused(error) from None

    def configure(self, **settings: Json) -> None:
        self.call(
            "Configure", protocol.ConfigureRequest(args=encode(settings), acceptSecrets=True, sends_old_inputs=True)
        )

    def check(self, kind: str, inputs: Object) -> Object:
        request = protocol.CheckRequest(urn=urn(kind), type=token(kind), news=encode(inputs))
        answer = self.call("Check", request)
        assert not answer.failures, answer.failures
        return decode(answer.inputs)

    def create(self, kind: str, inputs: Object, *, preview: bool = False, timeout: float = 60) -> tuple[str, Object]:
        request = protocol.CreateRequest(
            urn=urn(kind),
            type=token(kind),
            properties=encode(self.check(kind, inputs)),
            preview=preview,
            timeout=timeout,
        )
        answer = self.call("Create", request)
        return answer.id, decode(answer.properties)

    def diff(self, kind: str, identity: str, old: Object, new: Object) -> Any:
        request = protocol.DiffRequest(
            id=identity,
            urn=urn(kind),
            type=token(kind),
            old_inputs=encode(self.check(kind, old)),
            news=encode(self.check(kind, new)),
        )
        return self.call("Diff", request)

    def changed(self, kind: str, identity: str, old: Object, new: Object) -> set[str]:
        """The paths that a diff names."""
        return set(self.diff(kind, identity, old, new).detailedDiff)

    def update(
        self, kind: str, identity: str, outputs: Object, inputs: Object, *, preview: bool = False, timeout: float = 60
    ) -> Object:
        request = protocol.UpdateRequest(
            id=identity,
            urn=urn(kind),
            type=token(kind),
            olds=encode(outputs),
            news=encode(self.check(kind, inputs)),
            preview=preview,
            timeout=timeout,
        )
        return decode(self.call("Update", request).properties)

    def read(self, kind: str, identity: str, inputs: Object | None = None) -> tuple[str, Object, Object]:
        request = protocol.ReadRequest(id=identity, urn=urn(kind), type=token(kind), inputs=encode(inputs or {}))
        answer = self.call("Read", request)
        return answer.id, decode(answer.properties), decode(answer.inputs)

    def delete(self, kind: str, identity: str, outputs: Object, *, timeout: float = 60) -> None:
        request = protocol.DeleteRequest(
            id=identity, urn=urn(kind), type=token(kind), properties=encode(outputs), timeout=timeout
        )
        self.call("Delete", request)

    def cancel(self) -> None:
        self.call("Cancel", Empty())


def token(kind: str) -> str:
    return TOKENS.get(kind, kind)


def urn(kind: str) -> str:
    return f"urn:pulumi:test::demo::{token(kind)}::it"


@contextmanager
def running_plugin(folder: Path) -> Generator[Plugin]:
    """A plugin that is not configured yet."""
    command = [sys.executable, "-m", "kubernetes_provider", "127.0.0.1:1"]
    with (
        (folder / "provider.log").open("w") as log,
        subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout
        try:
            with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
                yield Plugin(provider_pb2_grpc.ResourceProviderStub(channel))
        finally:
            process.terminate()
