"""The embedding server's HTTP side, over loopback, with a small model in place of the real one."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import numpy as np
import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from vagus.clock import SystemClock
from vagus.lab.embed import EmbeddingServer
from vagus.lab.minilm import DIMENSION, Vectors

Client = TestClient  # type: ignore[type-arg]


class LengthModel:
    """A text's vector points along the axis of its length."""

    def embed(self, texts: list[str]) -> tuple[Vectors, int]:
        return np.eye(DIMENSION, dtype=np.float32)[[len(text) for text in texts]], 5 * len(texts)


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    server = EmbeddingServer(LengthModel(), SystemClock())
    async with TestClient(TestServer(server.app())) as client:
        yield client


async def metric(client: Client, name: str, **labels: str) -> float:
    text = await (await client.get("/metrics")).text()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    raise AssertionError(f"no {name} {labels} in\n{text}")


async def test_texts_become_vectors_in_their_order(client: Client) -> None:
    response = await client.post("/v1/embeddings", json={"input": ["ab", "abcd"]})
    body = await response.json()
    assert response.status == 200
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert [int(np.argmax(row["embedding"])) for row in body["data"]] == [2, 4]
    assert body["usage"] == {"prompt_tokens": 10, "total_tokens": 10}


async def test_base64_holds_the_same_vector(client: Client) -> None:
    asked = {"input": "abc", "encoding_format": "base64"}
    body = await (await client.post("/v1/embeddings", json=asked)).json()
    vector = np.frombuffer(base64.b64decode(body["data"][0]["embedding"]), dtype="<f4")
    assert vector.shape == (DIMENSION,)
    assert vector.argmax() == 3


@pytest.mark.parametrize(
    "body", ["{", "{}", '{"input": []}', '{"input": [""]}', '{"input": 7}', '{"input": ["a", 1]}']
)
async def test_a_bad_request_is_told_what_is_wrong(client: Client, body: str) -> None:
    response = await client.post("/v1/embeddings", data=body)
    assert response.status == 400
    assert (await response.json())["error"]["type"] == "invalid_request_error"
    assert await metric(client, "embed_requests_total", code="400") == 1


async def test_metrics_count_requests_texts_and_tokens(client: Client) -> None:
    for _ in range(3):
        await client.post("/v1/embeddings", json={"input": ["a", "b"]})
    assert await metric(client, "embed_requests_total", code="200") == 3
    assert await metric(client, "embed_texts_total") == 6
    assert await metric(client, "embed_tokens_total") == 30
    assert await metric(client, "embed_requests_in_flight") == 0
    assert await metric(client, "embed_request_duration_seconds_count") == 3


async def test_faults_bend_the_api_but_not_the_health_check(client: Client) -> None:
    await client.post("/-/fault", json={"fault": "http-500"})
    assert (await client.post("/v1/embeddings", json={"input": "a"})).status == 500
    assert (await client.get("/health")).status == 200
    assert await metric(client, "embed_requests_total", code="500") == 1

    await client.post("/-/fault", json={"fault": "garbage"})
    garbage = await client.post("/v1/embeddings", json={"input": "a"})
    assert (garbage.status, garbage.content_type) == (200, "text/html")

    await client.post("/-/fault", json={"fault": "slow", "factor": 2})
    slow = await client.post("/v1/embeddings", json={"input": "a"})
    assert len((await slow.json())["data"]) == 1

    cleared = await client.post("/-/fault", json={"fault": None})
    assert await cleared.json() == {"fault": None}
    assert (await client.post("/v1/embeddings", json={"input": "a"})).status == 200


async def test_a_fault_of_streams_is_refused(client: Client) -> None:
    response = await client.post("/-/fault", json={"fault": "cut"})
    assert response.status == 400
    assert "slow, delay, garbage, http-500" in (await response.json())["mend"]
