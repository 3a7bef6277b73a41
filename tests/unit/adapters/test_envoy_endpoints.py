"""The endpoint document, field by field."""

from __future__ import annotations

import json

import pytest

from vagus.adapters.envoy import endpoints
from vagus.model import Endpoint


def lb_endpoint(endpoint: Endpoint) -> dict[str, object]:
    document = json.loads(endpoints.render("chat", [endpoint], "i:1:0:1"))
    (resource,) = document["resources"]
    ((found,),) = (group["lb_endpoints"] for group in resource["endpoints"])
    return dict(found)


def test_the_document_says_who_asked_for_what() -> None:
    document = json.loads(endpoints.render("chat", [], "i:1:0:1"))
    assert document["version_info"] == "i:1:0:1"
    (resource,) = document["resources"]
    assert resource["cluster_name"] == "chat"
    assert resource["policy"] == {"overprovisioning_factor": 1000}


def test_an_endpoint_keeps_its_name() -> None:
    found = lb_endpoint(Endpoint("chat-1", "http://127.0.0.1:8101"))
    assert found == {
        "endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 8101}}},
        "health_status": "HEALTHY",
        "load_balancing_weight": 100,
        "metadata": {"filter_metadata": {"vagus": {"replica": "chat-1"}}},
    }


@pytest.mark.parametrize(
    ("share", "weight"), [(1.0, 100), (0.25, 25), (0.005, 1), (0.0, 1), (0.994, 99)]
)
def test_a_share_is_a_weight_of_at_least_one(share: float, weight: int) -> None:
    found = lb_endpoint(Endpoint("chat-1", "http://127.0.0.1:1", "draining", share))
    assert found["load_balancing_weight"] == weight
    assert found["health_status"] == "DRAINING"


def test_ipv6_and_default_ports() -> None:
    assert lb_endpoint(Endpoint("chat-1", "https://[::1]"))["endpoint"] == {
        "address": {"socket_address": {"address": "::1", "port_value": 443}}
    }


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version_info": 3}'])
def test_what_is_not_ours_to_read_has_no_version(text: str) -> None:
    assert endpoints.version_of(text) is None
