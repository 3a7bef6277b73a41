"""Cloudflare, 20 February 2026: a flag without a value withdrew 1,100 prefixes.

A query was to list what was marked for removal. The parameter came without its value, was read as
"no filter", and what was listed was everything. Here an absent value is not zero and not all: a
share that is not given is no share, and what is gone from the stack is nobody's target.
"""

from __future__ import annotations

from vagus.model import Purpose, Subject
from vagus.testing.cases import CHAT
from vagus.testing.gate_bench import GateBench, asked
from vagus.testing.guard_cases import Held


def replay(bench: GateBench) -> list[Held]:
    incident = bench.incident(CHAT[1])
    # A return of traffic whose share was lost on the way: taken for zero it would withdraw it.
    bench.hold(CHAT[1], "0.5")
    lost = asked(incident, "weight", purpose=Purpose.RETURN)
    # And a name that means nobody any more.
    stranger = bench.incident(Subject("chat", "chat-7"))
    gone = asked(stranger, "eject", purpose=Purpose.CONTAIN)
    return [
        bench.case("target_bounded", lost, "cloudflare_withdrawal: a share without a value"),
        bench.case("target_bounded", gone, "cloudflare_withdrawal: a name that is nobody's"),
    ]


def test_absent_is_not_all(bench: GateBench) -> None:
    lost, gone = replay(bench)
    assert "0 is no share to give" in bench.decide(lost.request).ruling.reason
    assert "chat/chat-7 is not known" in bench.decide(gone.request).ruling.reason
    half = asked(bench.incident(CHAT[1]), "weight", purpose=Purpose.RETURN, share=0.5, rung=1)
    bench.act(half)
