"""Started by the engine: ``python -m kubernetes_provider <engine address>``; prints the port that it serves on."""

import asyncio
import importlib
import os
import signal
import sys
from contextlib import suppress
from typing import Final

from kubernetes_provider.partial_imports import import_in_part

_MEBIBYTE: Final = 1024 * 1024
_GRACE_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 1.0


async def serve() -> None:
    """Serve until the engine ends us or is gone."""
    import_in_part()
    import grpc.aio  # noqa: PLC0415

    from kubernetes_provider.service import KubernetesProvider  # noqa: PLC0415
    from kubernetes_provider.serving import handler  # noqa: PLC0415

    engine = os.getppid()
    server = grpc.aio.server(options=[("grpc.max_receive_message_length", 400 * _MEBIBYTE)])
    provider = KubernetesProvider()
    server.add_generic_rpc_handlers((handler(provider),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(port, flush=True)
    # Whoever asks the cluster first needs it, a little later.
    loading = asyncio.create_task(asyncio.to_thread(importlib.import_module, "kr8s._auth"))
    # An engine that was killed cannot end its plugins.
    while not stop.is_set() and os.getppid() == engine:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await stop.wait()
    loading.cancel()
    provider.cancel()
    await server.stop(_GRACE_SECONDS)


if __name__ == "__main__":
    # Importing takes a while, and a signal must not end in a traceback meanwhile.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve())
    sys.exit(0)
