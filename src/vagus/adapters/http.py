"""HTTP towards whoever may be the sick one.

A body without an end must cost us neither memory nor the time of the others, so an answer is read
no further than is plausible. And a connection that is kept says how things were when it was opened:
after a restart the old one is reset, which a probe would report of a replica that is well, and an
order to a supervisor would be lost with nobody knowing whether it arrived.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp

from vagus.errors import MalformedData


def open_session() -> aiohttp.ClientSession:
    """A session in which every request makes its own connection: for probes and for orders."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
    )


async def read(response: aiohttp.ClientResponse, at_most: int) -> bytes:
    """The whole body. Raises MalformedData if it is longer than ``at_most`` bytes."""
    return b"".join([chunk async for chunk in chunks(response, at_most)])


async def read_json(response: aiohttp.ClientResponse, at_most: int) -> object:
    """The body as JSON. Raises MalformedData if it isn't JSON, or too long."""
    return parse_json(await read(response, at_most), response)


def parse_json(body: bytes, response: aiohttp.ClientResponse) -> object:
    """``body`` as JSON. Raises MalformedData if it isn't."""
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedData(
            f"answers {response.content_type} that is not JSON", where=_where(response)
        ) from error
    return value


async def chunks(response: aiohttp.ClientResponse, at_most: int) -> AsyncIterator[bytes]:
    """The body as it arrives. Raises MalformedData once it is longer than ``at_most`` bytes."""
    taken = 0
    async for chunk in response.content.iter_any():
        taken += len(chunk)
        if taken > at_most:
            raise MalformedData(
                f"the answer is longer than {at_most} bytes", where=_where(response)
            )
        yield chunk


def _where(response: aiohttp.ClientResponse) -> str:
    return str(response.url.with_query(None))
