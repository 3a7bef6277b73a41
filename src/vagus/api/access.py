"""Which role a route needs, said where the route is declared, and shown in the OpenAPI."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from vagus.api.problems import MEDIA_TYPE, Problem
from vagus.api.served import Served
from vagus.model import Role
from vagus.state.tokens import Token

_BEARER = HTTPBearer(auto_error=False, description="A token made by `vagus token create`.")


def needs(role: Role, *refusals: HTTPStatus) -> dict[str, Any]:
    """Arguments of a route that ``role`` and those above it may call. ``refusals``: statuses with
    which it may answer beyond those that any route may."""

    async def allowed(
        request: Request,
        _shown: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)],
    ) -> None:
        require(_token(request), role)

    usual = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, *refusals)
    return {
        "dependencies": [Depends(allowed)],
        "responses": {str(int(s)): problem(s.phrase) for s in usual}
        | {"default": problem("Anything else that is wrong")},
        "openapi_extra": {"x-role": role.name.lower()},
    }


def require(token: Token, role: Role) -> None:
    """Raises Problem 403 if ``token`` has a lesser role."""
    if token.role < role:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"this needs the role {role.name.lower()}, and this token is "
            f"{_article(token.role)} {token.role.name.lower()}'s",
            mend="use a token of that role",
        )


def problem(description: str) -> dict[str, Any]:
    """An answer that is a problem, for OpenAPI."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


async def caller(request: Request) -> Token:
    """Whose token opened the doors."""
    return _token(request)


async def served(request: Request) -> Served:
    return request.app.state.served  # type: ignore[no-any-return]


def _token(request: Request) -> Token:
    token = request.state.token
    assert isinstance(token, Token), "a route that needs a role lies behind the doors"
    return token


Caller = Annotated[Token, Depends(caller)]
Works = Annotated[Served, Depends(served)]


def _article(role: Role) -> str:
    return "an" if role.name[0] in "AO" else "a"
