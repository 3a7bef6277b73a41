"""Guard: the mode that Vagus runs in."""

from __future__ import annotations

from vagus.config import Mode
from vagus.model import GuardRuling, Request
from vagus.policy.answers import allow, ask, deny
from vagus.policy.facts import Facts
from vagus.policy.remedies import is_recovery


def mode(request: Request, facts: Facts) -> GuardRuling:
    """Vagus does no more than it was installed to do.

    Prevents a tool that was put in to watch from acting. Off is off, for recoveries too: what was
    held out of traffic comes back when its override expires. Shadow allows, because what it allows
    is written down as shadow and never acted upon. In suggest a person decides; giving back what
    that person let us take needs no second yes.
    """
    match facts.mode:
        case Mode.OFF:
            return deny("mode", "off: nothing is done")
        case Mode.SHADOW:
            return allow("mode", "shadow: decided and written down, never done")
        case Mode.SUGGEST if is_recovery(request):
            return allow("mode", "suggest: a recovery needs no second yes")
        case Mode.SUGGEST:
            return ask("mode", "suggest: a person decides")
        case Mode.AUTO:
            return allow("mode", "auto")
