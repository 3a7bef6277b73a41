"""Pushes OTLP over HTTP.

Specification: OTLP 1.x, "OTLP/HTTP": binary protobuf by POST; which answers may be tried again; a
200 that says that some was refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote

import aiohttp
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from vagus.adapters.http import read
from vagus.adapters.otlp.messages import metrics_request, trace_request
from vagus.errors import MalformedData, TargetUnreachable
from vagus.metrics import Reading
from vagus.model.trace import Attribute, Trace

_TRY_AGAIN = (429, 502, 503, 504)
_LARGEST_ANSWER = 64 * 1024  # bytes
_PROTOBUF = "application/x-protobuf"


class OtlpExport:
    """Towards the collector at ``address`` (without ``/v1/...``)."""

    def __init__(
        self,
        address: str,
        session: aiohttp.ClientSession,
        resource: Mapping[str, Attribute],
        *,
        headers: Mapping[str, str],
        timeout: float,
    ) -> None:
        self._address = address
        self._session = session
        self._resource = resource
        self._headers = {**headers, "Content-Type": _PROTOBUF}
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def push_trace(self, trace: Trace) -> None:
        """Raises as :meth:`push_metrics` does."""
        answer = await self._post("/v1/traces", trace_request(trace, self._resource))
        told = ExportTraceServiceResponse()
        _parse(answer, told)
        if told.partial_success.rejected_spans:
            raise MalformedData(f"refused a part: {told.partial_success.error_message[:200]}")

    async def push_metrics(
        self, readings: Iterable[Reading], *, began_at: float, at: float
    ) -> None:
        """Raises TargetUnreachable for what may be tried again, and MalformedData where the
        collector will not have it."""
        request = metrics_request(readings, self._resource, began_at=began_at, at=at)
        answer = await self._post("/v1/metrics", request)
        told = ExportMetricsServiceResponse()
        _parse(answer, told)
        if told.partial_success.rejected_data_points:
            raise MalformedData(f"refused a part: {told.partial_success.error_message[:200]}")

    async def _post(self, path: str, message: Message) -> bytes:
        url = self._address + path
        try:
            async with self._session.post(
                url,
                data=message.SerializeToString(),
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,
            ) as answer:
                if answer.status in _TRY_AGAIN:
                    raise TargetUnreachable(f"answers {answer.status}", where=url)
                if answer.status // 100 != 2:
                    raise MalformedData(f"answers {answer.status}", where=url)
                return await read(answer, _LARGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise TargetUnreachable(f"{type(error).__name__}: {error}", where=url) from error


def _parse(answer: bytes, into: Message) -> None:
    """What is no answer of OTLP's, in a 200, is none to worry about: it was taken."""
    try:
        into.ParseFromString(answer)
    except DecodeError:
        into.Clear()


def headers_of(text: str) -> dict[str, str]:
    """``api-key=secret,tenant=a%20b`` as OpenTelemetry's ``OTEL_EXPORTER_OTLP_HEADERS`` has it.
    Raises ValueError, without what stands there: it is secret."""
    headers = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not part.strip():
            continue
        if not equals or not name.strip():
            raise ValueError("headers are written as name=value,name=value")
        headers[unquote(name.strip())] = unquote(value.strip())
    return headers
