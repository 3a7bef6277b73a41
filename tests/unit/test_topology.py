"""The stack as a value: who is where, who are siblings, who needs whom."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from vagus import config
from vagus.config import Kind
from vagus.model import Aspect, Override, Subject
from vagus.topology import ComponentNode, Topology, authority

STACK = Topology.declared(
    config.parse(
        """
stack:
  chat:
    kind: model-server
    engine: llama.cpp
    replicas: {chat-1: http://127.0.0.1:8101, chat-2: http://127.0.0.1:8102}
    runtime: {process: {supervisor: http://127.0.0.1:8090}}
  embed: {kind: embedding-server, replicas: {embed-1: http://127.0.0.1:8111}}
  vectors: {kind: vector-store, dsn_env: DSN}
  rag: {kind: pipeline, replicas: {rag-1: http://127.0.0.1:8200}, depends_on: [embed, chat]}
  web: {kind: pipeline, depends_on: [rag]}
"""
    )
)
CHAT_1, CHAT_2, CHAT_3 = (Subject("chat", f"chat-{n}") for n in (1, 2, 3))


def member(subject: Subject, address: str) -> Override:
    return Override(subject, Aspect.MEMBER, address, incident="i", created_at=0.0)


def test_what_was_declared_is_what_there_is() -> None:
    chat = STACK.components["chat"]
    assert (chat.kind, chat.engine, chat.restartable) == (Kind.MODEL_SERVER, "llama.cpp", True)
    assert not STACK.components["embed"].restartable
    assert set(STACK.replicas()) == {
        CHAT_1,
        CHAT_2,
        Subject("embed", "embed-1"),
        Subject("rag", "rag-1"),
    }


def test_siblings_are_the_others_of_the_same_component() -> None:
    assert STACK.siblings(CHAT_1) == (CHAT_2,)
    assert STACK.siblings(Subject("embed", "embed-1")) == ()
    assert STACK.siblings(Subject("nobody", "x")) == ()


def test_who_answers_at_an_address() -> None:
    assert STACK.subject_at("127.0.0.1:8102") == CHAT_2
    assert STACK.subject_at("127.0.0.1:9999") is None
    assert STACK.address(CHAT_2) == "http://127.0.0.1:8102"
    assert STACK.address(CHAT_3) is None
    assert STACK.address(Subject("nobody", "x")) is None


def test_an_added_replica_is_a_sibling_and_is_found_by_its_address() -> None:
    now = STACK.with_members([member(CHAT_3, "http://127.0.0.1:8103")])
    assert now.siblings(CHAT_1) == (CHAT_2, CHAT_3)
    assert now.subject_at("127.0.0.1:8103") == CHAT_3
    assert STACK.subject_at("127.0.0.1:8103") is None, "a topology is a value"


def test_a_removed_replica_is_gone() -> None:
    now = STACK.with_members([member(CHAT_1, "")])
    assert now.replicas()[0] == CHAT_2
    assert now.subject_at("127.0.0.1:8101") is None


def test_a_replica_keeps_its_name_when_it_moves() -> None:
    now = STACK.with_members([member(CHAT_1, "http://127.0.0.1:9101")])
    assert now.subject_at("127.0.0.1:9101") == CHAT_1
    assert now.subject_at("127.0.0.1:8101") is None


def test_overrides_of_other_aspects_and_of_strangers_change_no_member() -> None:
    rows = [
        Override(CHAT_1, Aspect.HEALTH, "unhealthy", incident="i", created_at=0.0),
        member(Subject("nobody", "x"), "http://127.0.0.1:1"),
    ]
    assert STACK.with_members(rows) is STACK


def test_dependence_reaches_through_others() -> None:
    assert STACK.depends("rag", "chat")
    assert STACK.depends("web", "chat")
    assert not STACK.depends("chat", "rag")
    assert not STACK.depends("chat", "chat")
    assert not STACK.depends("nobody", "chat")


def test_authority_has_the_port_that_the_scheme_implies() -> None:
    assert authority("http://127.0.0.1:8101/x") == "127.0.0.1:8101"
    assert authority("http://models.internal") == "models.internal:80"
    assert authority("https://models.internal/v1") == "models.internal:443"


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=4), max_size=6
    )
)
def test_dependence_ends_in_any_graph_and_is_transitive(edges: Mapping[str, list[str]]) -> None:
    graph = Topology(
        {
            name: ComponentNode(name, Kind.PIPELINE, "generic", {}, depends_on=tuple(others))
            for name, others in edges.items()
        }
    )
    for a in "abcdef":
        for b in edges.get(a, ()):
            assert graph.depends(a, b)
            assert all(graph.depends(a, c) for c in "abcdef" if graph.depends(b, c))
