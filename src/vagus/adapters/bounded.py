"""Reading an answer no further than is plausible.

Whoever answers may be the sick one: a body without an end must cost us neither memory nor the time
of the others.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import aiohttp

from vagus.errors import MalformedData


async def read(response: aiohttp.ClientResponse, at_most: int) -> bytes:
    """The whole body. Raises MalformedData if it is longer than ``at_most`` bytes."""
    return b"".join([chunk async for chunk in chunks(response, at_most)])


async def read_json(response: aiohttp.ClientResponse, at_most: int) -> object:
    """The body as JSON. Raises MalformedData if it isn't JSON, or too long."""
    body = await read(response, at_most)
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
