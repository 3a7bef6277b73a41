"""``python -m vagus``: the same as the ``vagus`` command."""

from vagus.cli import main

main()
