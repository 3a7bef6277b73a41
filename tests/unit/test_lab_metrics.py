"""What the lab's services expose is read by Prometheus's own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from vagus.lab.metrics import Counter, Gauge, Histogram, exposition


def test_an_exposition_parses_and_says_what_was_counted() -> None:
    requests = Counter("x_requests_total", "Requests.")
    requests.add(code="200")
    requests.add(2, code='odd "label"\n\\')
    held = Gauge("x_in_flight", "Now.", 3)
    duration = Histogram("x_seconds", "Durations.", bounds=(0.1, 1.0))
    for seconds in (0.1, 0.5, 7.0):
        duration.observe(seconds)
    families = {
        family.name: family
        for family in text_string_to_metric_families(exposition(requests, held, duration))
    }
    assert {s.labels["code"]: s.value for s in families["x_requests"].samples} == {
        "200": 1,
        'odd "label"\n\\': 2,
    }
    assert families["x_in_flight"].samples[0].value == 3
    samples = {(s.name, s.labels.get("le")): s.value for s in families["x_seconds"].samples}
    assert samples == {
        ("x_seconds_bucket", "0.1"): 1,
        ("x_seconds_bucket", "1"): 2,
        ("x_seconds_bucket", "+Inf"): 3,
        ("x_seconds_sum", None): 7.6,
        ("x_seconds_count", None): 3,
    }
