"""A real AI stack on one machine, for the demo, for chaos and for the end-to-end tests.

Envoy, LLM servers with real weights, an embedding server with a real model, Postgres with pgvector
and a small RAG service, all of them ordinary processes on loopback that come from packages. Nothing
is mocked: a replica that the lab makes ten times slower *is* ten times slower to everybody who asks
it, and Vagus has to find that out as it would in your stack.

That is why the lab imports none of Vagus's steps and is imported by none. What Vagus knows of it
stands in the ``vagus.yaml`` that the lab writes, and what it may do to it goes through the same
sockets and files that a real stack would offer.
"""
