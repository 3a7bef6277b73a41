"""One guard a file, each one pure function of the request and the facts.

Its docstring says what it prevents. Their order and their list are in ``gate.py``.
"""
