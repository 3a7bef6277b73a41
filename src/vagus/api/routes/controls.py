"""The mode and the kill switch: what people set while Vagus runs.

Taking room from Vagus is for everybody who operates the stack, giving it room for admins: lowering
the mode and setting the kill switch need an operator, raising it and lifting the switch an admin.
Whether a mode is higher is asked in the transaction that sets it, so that two people who act at
once can't add up to a rise that neither may make.
"""

from __future__ import annotations

from fastapi import APIRouter

from vagus.api.access import Caller, Works, needs, require
from vagus.api.audit import changing
from vagus.api.served import Served
from vagus.api.views.controls import ModeBody, ModeView, StopBody, StopView
from vagus.config import Mode
from vagus.model import Role, Stop
from vagus.policy import steering
from vagus.policy.stop import stop_file
from vagus.state.tokens import Token

router = APIRouter(tags=["controls"])


@router.get("/mode", **needs(Role.VIEWER))
def show_mode(works: Works) -> ModeView:
    """The mode in force, and where it comes from."""
    return _mode(works)


@router.put("/mode", **needs(Role.OPERATOR))
def set_mode(works: Works, caller: Caller, asked: ModeBody) -> ModeView:
    """Choose a mode over the configuration's, until another is chosen. Raising it needs an
    admin."""
    _choose(works, caller, asked.mode, asked.reason)
    return _mode(works)


@router.delete("/mode", **needs(Role.OPERATOR))
def unset_mode(works: Works, caller: Caller) -> ModeView:
    """Give the word back to the configuration. If that raises the mode it needs an admin."""
    _choose(works, caller, None, "as the configuration says")
    return _mode(works)


@router.get("/kill-switch", **needs(Role.VIEWER))
def show_kill_switch(works: Works) -> StopView:
    """Whether everything is stopped, by whom and why."""
    return _switch(works)


@router.put("/kill-switch", **needs(Role.OPERATOR))
def set_kill_switch(works: Works, caller: Caller, asked: StopBody) -> StopView:
    """Stop: nothing new is begun, also by what is under way. Recoveries and undos may finish."""
    stop = Stop(caller.name, asked.reason)
    changing(works, caller, "stop", lambda: works.controls.set_stop(stop), asked.reason)
    return _switch(works)


@router.delete("/kill-switch", **needs(Role.ADMIN))
def lift_kill_switch(works: Works, caller: Caller) -> StopView:
    """Lift the switch that was set here. The file, if there is one, goes on stopping everything:
    whoever can write it can remove it."""
    changing(works, caller, "resume", lambda: works.controls.clear_stop(caller.name))
    return _switch(works)


def _choose(works: Served, caller: Token, wanted: Mode | None, reason: str) -> None:
    declared = works.settings.mode

    def work() -> None:
        present = steering.in_force(declared, works.controls.mode())
        if steering.raises(present, wanted or declared):
            require(caller, Role.ADMIN)
        works.controls.set_mode(wanted.value if wanted else None, caller.name, reason)

    changing(works, caller, f"mode {wanted.value if wanted else 'as declared'}", work, reason)


def _mode(works: Served) -> ModeView:
    chosen, declared = works.controls.mode(), works.settings.mode
    return ModeView(mode=steering.in_force(declared, chosen), declared=declared, chosen=chosen)


def _switch(works: Served) -> StopView:
    return StopView.of(works.controls.stop(), stop_file(works.settings.policy.kill_switch))
