"""Chaos: breaking things on purpose, so that what heals them is proven and not hoped for.

Beside the loop, never in it: an experiment runs in a process of its own and sees Vagus as anybody
else does, through its API. So what it proves is proven of the Vagus that runs, and a fault can be
taken out again whatever becomes of Vagus, of the experiment or of the terminal:

- :mod:`.intents` says what must hold, :mod:`.design` which experiments follow from that;
- :mod:`.faults` break something real, and say beforehand what it takes to mend it;
- :mod:`.undo` keeps that on disk before anything is broken, and :mod:`.reaper`, another process,
  mends it when the time is over or whoever broke it is gone;
- :mod:`.experiment` is one experiment from steady state to steady state, and :mod:`.timeline` what
  it saw; :mod:`.report` tells it.

Whether a fault may be injected is asked of the gate that every remedy passes too
(:mod:`vagus.policy.injections`).
"""
