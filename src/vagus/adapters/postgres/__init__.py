"""Postgres with pgvector as a vector store: searched to be judged, and its indexes mended.

It needs the extra ``pgvector``. Of a store it wants to read the watched tables; to rebuild an index
it wants a superuser, because only such a one can set an index aside without dropping it.
"""
