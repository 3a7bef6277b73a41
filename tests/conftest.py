"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples every time, however slow the machine is at the moment: a test that is red on one
# machine is red on all. To search further: pytest --hypothesis-profile=default
settings.register_profile("vagus", deadline=None, derandomize=True)
settings.load_profile("vagus")
