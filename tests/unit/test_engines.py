"""What ``engine`` and ``metrics`` of a component may say."""

from __future__ import annotations

import pytest

from vagus import config
from vagus._engines import Meaning, known_engines
from vagus.errors import ConfigError
from vagus.topology import Topology

CHAT = "stack:\n  chat:\n    kind: model-server\n"


def test_an_unknown_engine_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(CHAT + "    engine: vlm\n")
    assert caught.value.where == "vagus.yaml:4"
    for engine in known_engines():
        assert engine in caught.value.message
    assert "'metrics'" in caught.value.message


def test_every_engine_that_has_a_dialect_may_be_written() -> None:
    for engine in known_engines():
        assert config.parse(f"{CHAT}    engine: {engine}\n").stack["chat"].engine == engine


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("{q: [{signal: moon}]}", "'moon' is no signal"),
        ("{q: [{signal: vagus.gateway.attempts}]}", "no signal that a metric can be"),
        ("{q: [{signal: vagus.server.steps, scale: 0}]}", "greater than 0"),
        ("{q: [{signal: vagus.server.steps, scales: 1}]}", "unknown key 'scales'"),
        ("{q: {signal: vagus.server.steps}}", "has to be a list"),
    ],
)
def test_a_mistake_in_a_mapping_has_its_line(written: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.parse(f"{CHAT}    metrics: {written}\n")
    assert caught.value.where == "vagus.yaml:4"
    assert words in caught.value.message


def test_the_users_mapping_is_part_of_the_topology() -> None:
    text = CHAT + "    metrics: {queue_len: [{signal: vagus.server.requests.waiting}]}\n"
    node = Topology.declared(config.parse(text)).components["chat"]
    assert node.metrics == {"queue_len": (Meaning(signal="vagus.server.requests.waiting"),)}


def test_labels_that_are_wanted_and_labels_that_are_not() -> None:
    meaning = Meaning(signal="vagus.server.steps", where={"op": "se*"}, unless={"who": "admin"})
    assert meaning.holds({"op": "search"})
    assert not meaning.holds({"op": "get"})
    assert not meaning.holds({"op": "search", "who": "admin"})
    assert not meaning.holds({})
