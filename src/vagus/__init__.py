"""Vagus: self-healing for AI infrastructure.

The loop, in ten lines::

    signals   = telemetry.collect(sources)            # what the stack says
    findings  = detection.evaluate(signals)           # what is not normal
    incidents = diagnosis.correlate(findings)         # what belongs together, and its cause
    plan      = planning.plan(incident)               # contain, treat, return
    ruling    = policy.gate(plan.next_rung, state)    # may we?  Allow < Ask < Deny
    action    = remediation.apply(intent)             # written down before it is done
    verdict   = verification.observe(action)          # did it heal, by the same evidence?

``loop.py`` reads from the first line to the third, ``healing.py`` from the fourth to the last.
"""

__version__ = "0.1.0.dev0"
