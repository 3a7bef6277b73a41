"""The demo: a real stack, real faults, and Vagus beside it as it would be beside yours.

It uses the lab to break things and the ``vagus run`` command to heal them, as another process, and
learns what Vagus did from the event lines that this prints. So what the demo shows is what a user
would see, and its times are taken from outside.
"""
