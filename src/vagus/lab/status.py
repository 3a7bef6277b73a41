"""What the supervisor says of one replica: the shape that crosses the wire, on both sides."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Literal, cast

from vagus.errors import LabError

State = Literal["starting", "running", "stopped", "exited"]


@dataclass(frozen=True)
class ReplicaStatus:
    """One replica, now.

    ``stopped`` means stopped by a signal and still there. ``generation`` counts starts, from 1;
    ``started_at`` is in seconds since the epoch; ``fault`` is what its hop was told to do;
    ``version`` is empty where there is only one.
    """

    name: str
    component: str
    address: str
    pid: int
    state: State
    exit_code: int | None
    started_at: float
    generation: int
    fault: str | None
    rss_mb: float
    version: str = ""

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> ReplicaStatus:
        """Raises :class:`~vagus.errors.LabError` if ``data`` isn't what :meth:`to_json` makes."""
        names = {field.name for field in fields(cls)}
        if not isinstance(data, dict) or set(data) != names:
            raise LabError("the supervisor described a replica in an unknown way")
        return cls(**cast("dict[str, object]", data))  # type: ignore[arg-type]
