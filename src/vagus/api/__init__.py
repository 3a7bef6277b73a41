"""What Vagus serves over HTTP, on loopback.

A request comes in through the *doors* (host, rate, size, token), is let to a *route* by its role,
and if it changes anything, does so in one transaction with the entry that says who did it:

    server.py       listens, inside of the one event loop
    application.py  the routes and the doors, put together; OpenAPI
    doors.py        what every request passes before a route sees it
    access.py       which role a route needs
    audit.py        who changed what, in the ledger
    problems.py     every error as problem+json
    routes/         one file a noun
    views/          what goes over the wire
    served.py       what all of it works with, put together by app.py
"""
