"""What tests of Vagus, and of extensions to it, stand on: stand-ins for the outside world.

They are not mocks that say yes: a gateway here really keeps the traffic it was given, a runtime
really counts its restarts, and a replica is well or sick because of what was done to it.
"""
