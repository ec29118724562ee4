"""The provider's methods as a gRPC service: faults become what Pulumi's protocol has for them."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeVar

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2, status_pb2

from kubernetes_provider.faults import ProviderFault
from kubernetes_provider.operations import Partial
from kubernetes_provider.service import KubernetesProvider
from kubernetes_provider.wire import decode, encode, secret_texts

__all__ = ["handler"]

Context = grpc.aio.ServicerContext[Any, Any]
Answer = Callable[[Any, Context], Awaitable[Message]]
Request = TypeVar("Request", bound=Message)

_SERVICE: Final = "pulumirpc.ResourceProvider"
_SHORTEST_SECRET: Final = 6
"""A shorter text is in every second message by chance."""


def handler(provider: KubernetesProvider) -> grpc.GenericRpcHandler:
    """What a gRPC server needs to serve this provider."""

    async def cancel(request: Empty) -> Empty:
        provider.cancel()
        return request

    methods = [
        _method("Handshake", provider_pb2.ProviderHandshakeRequest, provider.handshake),
        _method("GetPluginInfo", Empty, provider.get_plugin_info),
        _method("GetSchema", provider_pb2.GetSchemaRequest, provider.get_schema),
        _method("CheckConfig", provider_pb2.CheckRequest, provider.check_config),
        _method("DiffConfig", provider_pb2.DiffRequest, provider.diff_config),
        _method("Configure", provider_pb2.ConfigureRequest, provider.configure),
        _method("Check", provider_pb2.CheckRequest, provider.check),
        _method("Diff", provider_pb2.DiffRequest, provider.diff),
        _method("Create", provider_pb2.CreateRequest, provider.create),
        _method("Update", provider_pb2.UpdateRequest, provider.update),
        _method("Read", provider_pb2.ReadRequest, provider.read),
        _method("Delete", provider_pb2.DeleteRequest, provider.delete),
        _method("Cancel", Empty, cancel),
        _method("Invoke", provider_pb2.InvokeRequest, _refuse("function", "tok")),
        _method("Call", provider_pb2.CallRequest, _refuse("method", "tok")),
        _method("Construct", provider_pb2.ConstructRequest, _refuse("component", "type")),
    ]
    return grpc.method_handlers_generic_handler(_SERVICE, dict(methods))


def _method(
    name: str, request_type: type[Request], method: Callable[[Request], Awaitable[Message]]
) -> tuple[str, "grpc.RpcMethodHandler[Any, Any]"]:
    async def answer(request: Request, context: Context) -> Message:
        try:
            return await method(request)
        except Partial as fault:
            reason = _without_secrets(str(fault), request)
            await context.abort(grpc.StatusCode.UNKNOWN, reason, _details(fault, reason))
        except ProviderFault as fault:
            # Unlike UNKNOWN, this tells the engine that nothing was left half done.
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, _without_secrets(str(fault), request))

    return name, grpc.unary_unary_rpc_method_handler(
        answer, request_deserializer=request_type.FromString, response_serializer=_serialize
    )


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()


def _refuse(what: str, field: str) -> Callable[[Message], Awaitable[Message]]:
    async def refuse(request: Message) -> Message:
        token = getattr(request, field)
        raise ProviderFault(
            f"The demo's own Kubernetes provider does not serve the {what} {token}; Pulumi's own plugin does."
        )

    return refuse


def _details(fault: Partial, reason: str) -> tuple[tuple[str, bytes], ...]:
    """What the protocol has for an object that exists but is not ready: it goes into the state with the reason."""
    detail = AnyMessage()
    detail.Pack(
        provider_pb2.ErrorResourceInitFailed(
            id=fault.result.id,
            properties=encode(fault.result.outputs),
            inputs=encode(fault.result.inputs),
            reasons=[reason],
        )
    )
    code: int = grpc.StatusCode.UNKNOWN.value[0]
    status = status_pb2.Status(code=code, message=reason, details=[detail])
    return (("grpc-status-details-bin", status.SerializeToString()),)


def _without_secrets(text: str, request: Message) -> str:
    secrets = {secret for struct in _structs(request) for secret in secret_texts(decode(struct))}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "[secret]")
    return text


def _structs(request: Message) -> Iterator[Struct]:
    for _, value in request.ListFields():
        if isinstance(value, Struct):
            yield value
