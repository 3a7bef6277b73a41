"""Trace context as a service passes it on."""

from __future__ import annotations

import re

import pytest

from vagus.lab.trace import passed_on

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_the_trace_goes_on_under_an_id_of_our_own() -> None:
    sent = passed_on(f"00-{TRACE}-{PARENT}-00")
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-00", sent)
    assert PARENT not in sent
    assert sent != passed_on(f"00-{TRACE}-{PARENT}-00")


def test_a_newer_version_is_passed_on_as_ours() -> None:
    assert passed_on(f"01-{TRACE}-{PARENT}-01-more").startswith(f"00-{TRACE}-")


@pytest.mark.parametrize(
    "received",
    [
        None,
        "",
        "nonsense",
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01-more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{PARENT}-01",
    ],
)
def test_without_a_valid_trace_a_new_one_begins(received: str | None) -> None:
    sent = passed_on(received)
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", sent)
    assert TRACE not in sent
