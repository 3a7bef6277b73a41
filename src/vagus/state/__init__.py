"""What Vagus keeps: incidents, intents, overrides, leases and the ledger, as tables of our own.

These tables are the truth. The loop's memory is a cache of them and the workflow engine, which has
a file of its own, a program counter. A step never sees a table: it is given the protocols of
``ports.py``, which the classes here implement over one :class:`~vagus.state.db.Database`.
"""
