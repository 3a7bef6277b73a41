"""Whatever stands in vagus.yaml, the answer is settings or a ConfigError, never a traceback."""

from __future__ import annotations

import json

import yaml
from hypothesis import given
from hypothesis import strategies as st

from vagus import config
from vagus.errors import ConfigError

KEYS = [*sorted(config.Settings.model_fields), "chat", "kind", "replicas", "envoy", "<<", "*a"]
WORDS = ["off", "1 per week", "50%", "10% per 10m", "3s", "http://127.0.0.1:1", "cache", "~", "2:3"]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.binary(max_size=4)
    | st.sampled_from(WORDS)
    | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
FRAGMENTS = st.sampled_from(
    [
        *KEYS,
        *WORDS,
        *"\n :-?[]{},&*!|>'\"%@`#\t\x00",
        "\n  ",
        ": ",
        "- ",
        "!!",
        "&a ",
        "!!int ",
        "---",
    ]
)


def read(text: str) -> None:
    """Fails by whatever else is raised."""
    try:
        outcome: config.Settings | ConfigError = config.parse(text)
    except ConfigError as error:
        outcome = error
    if isinstance(outcome, ConfigError):
        assert "\n" not in str(outcome)
        assert outcome.where.startswith("vagus.yaml")
    else:
        assert outcome.stack


@given(st.text())
def test_any_text(text: str) -> None:
    read(text)


@given(st.lists(FRAGMENTS | st.text(max_size=3), max_size=40).map("".join))
def test_text_that_resembles_yaml(text: str) -> None:
    read(text)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
def test_any_yaml_document(document: dict[str, object]) -> None:
    read(yaml.safe_dump(document))


@given(
    st.sampled_from(sorted(set(config.Settings.model_fields) - {"stack"})),
    VALUES,
)
def test_any_value_of_any_setting(key: str, value: object) -> None:
    stack = json.dumps({"chat": {"kind": "cache"}})
    read(f"stack: {stack}\n{yaml.safe_dump({key: value})}")
