"""Whether searches of a collection find what there is to be found.

Recall has no threshold that noise could cross: what was seen bets against the promise that was made
(:mod:`.doubt`), per cluster of queries, because a global mean hides the slice that went bad.
"""
