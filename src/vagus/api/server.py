"""Listens on loopback, inside of the one event loop.

uvicorn is a guest here: the process's signals belong to ``vagus run``, the loop to Vagus, and its
end is Vagus's end. So the socket is ours (a port that is taken is one line, before anything else
has begun), it handles no signals, and open feeds are told to end before it is: what then still
hangs on has a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from vagus.config import ApiSettings
from vagus.errors import VagusError

LAST_WORDS = 1  # s that a connection has to end after it was asked to
BACKLOG = 128


class _Guest(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serve(
    app: ASGIApp, settings: ApiSettings, ending: asyncio.Event | None = None
) -> AsyncIterator[int]:
    """Listen until the context ends; gives the port. ``ending`` is set when it is about to, for
    what would go on for ever. Raises VagusError if the port is taken."""
    listening = _listen(settings)
    port: int = listening.getsockname()[1]
    server = _Guest(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,  # a header that a caller can write says nothing of who they are
            server_header=False,
            timeout_graceful_shutdown=LAST_WORDS,
        )
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            if serving.done():
                serving.result()
            await asyncio.sleep(0.01)
        yield port
    finally:
        if ending is not None:
            ending.set()
        server.should_exit = True
        await serving
        listening.close()


def _listen(settings: ApiSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        taken = error.errno == errno.EADDRINUSE
        raise VagusError(
            f"port {settings.port} is in use" if taken else str(error),
            where=f"{settings.host}:{settings.port}",
            mend="set api.port to another one, or to 0 for any",
        ) from error
    return listening
