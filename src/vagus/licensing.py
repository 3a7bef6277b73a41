"""Licences issued and revoked, each with its entry in the ledger.

Whoever does either, the loop that learns, a person at the command line, the API or a file of
grants, comes through here, so that no licence appears or goes without a record of who and why.

A licence that Vagus issued was *earned*: experiments proved it. One that a person issued is a
*manual grant*: nothing is proven, somebody vouches for it, and it is labelled so wherever it is
shown. Both are lost the same way when a remedy makes things worse.
"""

from __future__ import annotations

from vagus.entries import of_licence
from vagus.model import Licence
from vagus.ports import Ledger, Licences


def issue(licence: Licence, licences: Licences, ledger: Ledger) -> Licence:
    """Issue it and say so; doing it again changes nothing and says nothing new."""
    issued = licences.issue(licence)
    ledger.append(f"licence:{issued.id}", "issue", "licence.issued", of_licence(issued))
    return issued


def revoke(
    licence_id: str, because: str, licences: Licences, ledger: Ledger, *, by: str
) -> Licence:
    """Revoke it and say so. Raises StateError if there is none."""
    revoked = licences.revoke(licence_id, because)
    facts = of_licence(revoked) | {"by": by, "because": revoked.revoked_because}
    ledger.append(f"licence:{revoked.id}", "revoke", "licence.revoked", facts)
    return revoked
