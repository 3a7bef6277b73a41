"""The perplexity probe against a server that answers as llama.cpp's does, and as it shouldn't."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from vagus.adapters import http
from vagus.adapters.llama.perplexity import PerplexityProbe
from vagus.errors import MalformedData, TargetUnreachable
from vagus.model import Subject

CHAT = Subject("chat", "chat-1")
Answers = Callable[[dict[str, object]], object]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with http.open_session() as opened:
        yield opened


class Llama:
    """Each word is a token; the next is as likely as ``likely`` says of it."""

    def __init__(self, likely: float = 0.5) -> None:
        self.likely = likely
        self.words: list[str] = []
        self.prompts: list[list[int]] = []
        self.status = 200
        self.answer: Answers = self._told

    def app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [web.post("/tokenize", self._tokenize), web.post("/completion", self._completion)]
        )
        return app

    async def _tokenize(self, request: web.Request) -> web.Response:
        self.words = (await request.json())["content"].split()
        return web.json_response({"tokens": list(range(len(self.words)))})

    async def _completion(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.prompts.append(body["prompt"])
        assert (body["n_predict"], body["temperature"]) == (1, 0)
        return web.json_response(self.answer(body), status=self.status)

    def _told(self, body: dict[str, object]) -> object:
        """A real one tells the log-probability without the bias that made it choose."""
        bias = body["logit_bias"]
        assert isinstance(bias, list)
        return {"completion_probabilities": [{"id": bias[0][0], "logprob": math.log(self.likely)}]}


@pytest.fixture
async def llama() -> AsyncIterator[tuple[Llama, str]]:
    double = Llama()
    server = TestServer(double.app())
    await server.start_server()
    yield double, str(server.make_url("")).rstrip("/")
    await server.close()


async def test_every_prefix_is_asked_for_its_next_token(
    llama: tuple[Llama, str], session: aiohttp.ClientSession
) -> None:
    double, url = llama
    probe = PerplexityProbe(session, lambda subject: url)
    surprise = await probe.surprise(CHAT, "one two three four")
    assert surprise.nats == pytest.approx(math.log(2.0))
    assert surprise.ids == (0, 1, 2, 3)
    assert double.prompts == [[0], [0, 1], [0, 1, 2]]


async def test_a_server_that_does_not_know_the_bias_is_not_believed(
    llama: tuple[Llama, str], session: aiohttp.ClientSession
) -> None:
    double, url = llama
    double.answer = lambda body: {"completion_probabilities": [{"id": 999, "logprob": -0.1}]}
    with pytest.raises(MalformedData, match="another token"):
        await PerplexityProbe(session, lambda subject: url).surprise(CHAT, "one two")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"completion_probabilities": []},
        {"completion_probabilities": [{"id": 1}]},
        {"completion_probabilities": [{"id": 1, "logprob": None}]},
        {"completion_probabilities": [{"id": 1, "logprob": 3.0}]},
        {"completion_probabilities": [{"id": 1, "logprob": float("nan")}]},
        {"completion_probabilities": [{"id": 1, "logprob": float("-inf")}]},
    ],
)
async def test_an_answer_without_log_probabilities_is_no_perplexity(
    llama: tuple[Llama, str], session: aiohttp.ClientSession, answer: object
) -> None:
    double, url = llama
    double.answer = lambda body: answer
    with pytest.raises(MalformedData):
        await PerplexityProbe(session, lambda subject: url).surprise(CHAT, "one two")


async def test_a_text_of_one_token_is_none(
    llama: tuple[Llama, str], session: aiohttp.ClientSession
) -> None:
    with pytest.raises(MalformedData, match="fewer than two tokens"):
        await PerplexityProbe(session, lambda subject: llama[1]).surprise(CHAT, "one")


async def test_whoever_is_away_is_absent_and_not_worse(
    llama: tuple[Llama, str], session: aiohttp.ClientSession
) -> None:
    double, url = llama
    double.status = 503
    with pytest.raises(TargetUnreachable, match="503"):
        await PerplexityProbe(session, lambda subject: url).surprise(CHAT, "one two")
    with pytest.raises(TargetUnreachable):
        await PerplexityProbe(session, lambda subject: None).surprise(CHAT, "one two")
    with pytest.raises(TargetUnreachable):
        await PerplexityProbe(session, lambda subject: "http://127.0.0.1:9").surprise(CHAT, "a b")
