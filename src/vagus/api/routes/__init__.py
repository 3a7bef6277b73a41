"""One file a noun. A route parses, calls and shows; what it calls decides.

Plain functions run on threads, since stores are synchronous; the few coroutines look at what lives
on the event loop.
"""
