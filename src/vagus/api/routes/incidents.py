"""Incidents: which there are, and the story of one."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter

from vagus.api.access import Works, needs
from vagus.api.pages import Cursor, Id, Limit
from vagus.api.views.basics import Page
from vagus.api.views.incidents import FindingView, IncidentStory, IncidentView, IntentView, story_of
from vagus.model import Role

router = APIRouter(prefix="/incidents", tags=["incidents"])


@router.get("", **needs(Role.VIEWER, HTTPStatus.NOT_FOUND))
def list_incidents(works: Works, limit: Limit = 50, cursor: Cursor = None) -> Page[IncidentView]:
    """Incidents in whatever state, newest first."""
    found = works.incidents.recent(limit + 1, before=cursor)
    shown = [IncidentView.of(incident) for incident in found[:limit]]
    return Page(items=shown, next=shown[-1].id if len(found) > limit else None)


@router.get("/{incident_id}", **needs(Role.VIEWER, HTTPStatus.NOT_FOUND))
def show_incident(works: Works, incident_id: Id) -> IncidentStory:
    """One incident from finding to verdict."""
    incident = works.incidents.get(incident_id)
    return IncidentStory(
        incident=IncidentView.of(incident),
        findings=[FindingView.of(f) for f in works.incidents.findings(incident_id)],
        intents=[IntentView.of(i) for i in works.intents.of_incident(incident_id)],
        story=[story_of(entry) for entry in works.ledger.of_incident(incident_id)],
    )
