"""The outside world, one folder a system. Adapters implement :mod:`vagus.ports`; ``app.py`` chooses
which to load, and no step of the loop imports one."""
