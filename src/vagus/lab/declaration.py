"""How the lab presents itself: the ``vagus.yaml`` that Vagus is started with.

It says of this stack what you would say of yours, no more. Whatever Vagus learns beyond this file,
it has to learn from the stack.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from vagus.lab.settings import HOST, LabSettings, url
from vagus.lab.wheels import replacing

DSN_VARIABLE = "VECTORS_DSN"
API_PORT = 9190
"""Where Vagus tells about itself when it watches this lab."""

LICENCES = "licences.yaml"
OWNER = "lab"


def stack(settings: LabSettings) -> dict[str, object]:
    """The content of ``vagus.yaml``; relative paths are relative to the run folder."""
    process = {
        "process": {
            "supervisor": url(settings.supervisor_port),
            "token_file": settings.token_file.name,
        }
    }

    def addresses(component: str) -> dict[str, str]:
        return {name: url(port) for name, port in settings.replicas(component).items()}

    return {
        "stack": {
            "chat": {
                "kind": "model-server",
                "engine": "llama.cpp",
                "replicas": addresses("chat"),
                "runtime": process,
            },
            "embed": {
                "kind": "embedding-server",
                "engine": "vagus-lab-embed",
                "replicas": addresses("embed"),
                "runtime": process,
            },
            "vectors": {
                "kind": "vector-store",
                "engine": "pgvector",
                "dsn_env": DSN_VARIABLE,
                "collections": ["passages"],
                "embedded_by": "embed",
            },
            "rag": {
                "kind": "pipeline",
                "replicas": addresses("rag"),
                "depends_on": ["embed", "vectors", "chat"],
            },
        },
        "gateway": {
            "envoy": {
                "admin": f"http://{HOST}:{settings.envoy_admin_port}",
                "dir": settings.envoy_dir.name,
                "access_log": f"{settings.envoy_dir.name}/access.jsonl",
            }
        },
        "mode": "auto",
        # The pace of a stack that starts within a second and is broken every half minute. On one
        # that takes minutes to load a model, the defaults are right.
        "policy": {
            "floor": "50%",
            "budget": "100% per 30s",
            "cooldown": "5s",
            "environment": "lab",
            "licences": LICENCES,
        },
        "healing": {
            "hold": "2s",
            "timeout": "30s",
            "return_steps": ["50%", "100%"],
            "return_hold": "2s",
            "warm_up": "10s",
        },
        "telemetry": {
            "interval": "1s",
            "timeout": "1s",
            "probe_timeout": "3s",
            "probe_interval": "5s",
            "probe_interval_suspect": "500ms",
        },
        # Its vectors are made to be hard to tell apart: what an index of lists finds of them.
        "retrieval": {"recall": "85%", "interval": "500ms", "interval_suspect": "100ms"},
        "api": {"port": API_PORT + settings.offset},
        "state": "sqlite:///vagus.db",
        "heartbeat": "vagus.heartbeat",
    }


def grants() -> dict[str, object]:
    """Licences that this lab grants by hand. Nothing was proven here yet when it starts, and the
    processes that a replacement ends are the lab's own."""
    grant = {
        "action": "replace",
        "owner": OWNER,
        "reason": "granted by hand with the lab: its replicas are processes made to be replaced",
        "days": 365,
    }
    mending = {
        "owner": OWNER,
        "reason": "granted by hand with the lab: its passages can be made again at any time",
        "days": 365,
    }
    return {
        "licences": [
            *({"component": name, **grant} for name in ("chat", "embed")),
            *(
                {"component": "vectors", "action": action, **mending}
                for action in ("rebuild-index", "vacuum")
            ),
        ]
    }


def environment(settings: LabSettings) -> dict[str, str]:
    """What Vagus is to find in its environment: where the store is. It names the file that holds
    the password, so it gives nothing away."""
    from vagus.lab import vectors  # needs the extra; writing the declaration does not

    return {DSN_VARIABLE: vectors.dsn(settings)}


def write(settings: LabSettings) -> None:
    """Write ``vagus.yaml``, and the grants beside it, into the run folder."""
    _write(settings.run_dir / LICENCES, grants())
    _write(settings.config_file, stack(settings))


def _write(file: Path, content: dict[str, object]) -> None:
    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: object) -> bool:
            return True

    with replacing(file) as fresh:
        text = yaml.dump(content, Dumper=Plain, sort_keys=False, width=100)
        fresh.write_text(text, encoding="utf-8")
