"""Licences issued and revoked, each with its entry in the ledger.

Whoever does either, the loop that learns, a person at the command line, the API or a file of
grants, comes through here, so that no licence appears or goes without a record of who and why.

A licence that Vagus issued was *earned*: experiments proved it. One that a person issued is a
*manual grant*: nothing is proven, somebody vouches for it, and it is labelled so wherever it is
shown. Both are lost the same way when a remedy makes things worse.

The file of grants is desired state, as far as granting goes: what stands in it is issued once, and
what no longer stands in it is revoked. It does not bring back what was revoked: who took a licence
away knew something that the file does not.
"""

from __future__ import annotations

from collections.abc import Sequence

from vagus.entries import of_licence
from vagus.model import Licence
from vagus.ports import Ledger, Licences

FROM_FILE = "grant-"  # how the id of a licence starts that stands in the file of grants


def issue(licence: Licence, licences: Licences, ledger: Ledger, *, by: str = "") -> Licence:
    """Issue it and say so; doing it again changes nothing and says nothing new. ``by``: who did it,
    where that isn't who vouches for it."""
    issued = licences.issue(licence)
    facts = of_licence(issued) | {"by": by or issued.issued_by}
    ledger.append(f"licence:{issued.id}", "issue", "licence.issued", facts)
    return issued


def revoke(
    licence_id: str, because: str, licences: Licences, ledger: Ledger, *, by: str
) -> Licence:
    """Revoke it and say so. Raises StateError if there is none."""
    revoked = licences.revoke(licence_id, because)
    facts = of_licence(revoked) | {"by": by, "because": revoked.revoked_because}
    ledger.append(f"licence:{revoked.id}", "revoke", "licence.revoked", facts)
    return revoked


def follow_file(granted: Sequence[Licence], licences: Licences, ledger: Ledger) -> None:
    """Issue what is ``granted`` by the file, and revoke what it no longer grants."""
    for licence in granted:
        issue(licence, licences, ledger)
    wanted = {licence.id for licence in granted}
    standing = [licence for licence in licences.all() if licence.revoked_at is None]
    for licence in standing:
        if licence.id.startswith(FROM_FILE) and licence.id not in wanted:
            because = "it no longer stands in the file of grants"
            revoke(licence.id, because, licences, ledger, by=licence.issued_by)
