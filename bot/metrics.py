"""Metrics of this process for Prometheus: what it does, how long that takes, and what fails.

Rule: a label has few values, all of them known here or in the code: no name, no id, no text of people or of the model.
https://prometheus.io/docs/practices/naming
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MOST_MODELS = 20  # names that a backend may give; any further one counts as `other`

_REGISTRY = CollectorRegistry()
for _collector in (ProcessCollector, PlatformCollector, GCCollector):
    _collector(registry=_REGISTRY)

_SECONDS = (0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 60, 120, 300)
_SHORT_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

EVENTS = Counter("attendant_events", "Events of a chat platform", ["kind", "outcome"], registry=_REGISTRY)
TURNS = Counter("attendant_turns", "Turns that ended", ["platform", "state", "trouble"], registry=_REGISTRY)
REFUSALS = Counter(
    "attendant_access_refusals", "Uses of the bot by people who are not admitted", ["reason"], registry=_REGISTRY
)
FIRST_WORD = Histogram(
    "attendant_first_word_seconds",
    "From a message's acceptance to the first word of its answer",
    registry=_REGISTRY,
    buckets=_SECONDS,
)
WHOLE_ANSWER = Histogram(
    "attendant_whole_answer_seconds",
    "From a message's acceptance until its answer is shown whole and stored",
    registry=_REGISTRY,
    buckets=_SECONDS,
)
MODEL_REQUESTS = Counter(
    "attendant_model_requests", "Requests to the model, with those for summaries", ["outcome"], registry=_REGISTRY
)
MODEL_RETRIES = Counter("attendant_model_retries", "Requests that were made again", ["trouble"], registry=_REGISTRY)
MODEL_TOKENS = Counter(
    "attendant_model_tokens", "Tokens as the backend counted them", ["model", "kind"], registry=_REGISTRY
)
SLACK_CALLS = Counter("attendant_slack_calls", "Calls of Slack's Web API", ["method", "outcome"], registry=_REGISTRY)
HTTP_REQUESTS = Histogram(
    "attendant_http_request_seconds",
    "Requests to the HTTP API, until their last byte",
    ["status"],
    registry=_REGISTRY,
    buckets=_SECONDS,
)
DATABASE = Histogram(
    "attendant_database_seconds",
    "Transactions, with their wait in the queue",
    ["queue"],
    registry=_REGISTRY,
    buckets=_SHORT_SECONDS,
)

Duration = Histogram

_COUNTS = {
    "running": Gauge("attendant_running_turns", "Turns that run here", registry=_REGISTRY),
    "waiting": Gauge("attendant_waiting_threads", "Threads in this process's queue", registry=_REGISTRY),
    "requests": Gauge("attendant_running_requests", "Requests of callers that run here", registry=_REGISTRY),
    "owed": Gauge("attendant_owed_messages", "Messages without an answer yet, of all replicas", registry=_REGISTRY),
    "oldest_owed_seconds": Gauge(
        "attendant_oldest_owed_seconds", "Age of the oldest of those messages", registry=_REGISTRY
    ),
    "takeovers": Gauge("attendant_takeovers", "Turns of the last day whose process died", registry=_REGISTRY),
    "failed_deliveries": Gauge(
        "attendant_failed_deliveries", "Deliveries of the last day that were not stored", registry=_REGISTRY
    ),
}
_PARTS = Gauge("attendant_part_up", "Whether a part works", ["part"], registry=_REGISTRY)
_DRAINING = Gauge("attendant_draining", "Whether the process stops and ends its last turns", registry=_REGISTRY)

_models: set[str] = set()


def model_label(name: str) -> str:
    """Return a model's name as a label. The backend chooses it, so that only the first few are told apart."""
    if len(_models) < MOST_MODELS:
        _models.add(name[:64])
    return name[:64] if name[:64] in _models else "other"


def exposition(counts: Mapping[str, int], parts: Mapping[str, bool], *, draining: bool) -> bytes:
    """Return all metrics in Prometheus' text format. A count that is not known now has no value.

    `counts` have the names of /readyz.
    """
    for name, gauge in _COUNTS.items():
        gauge.set(counts.get(name, float("nan")))
    for part, works in parts.items():
        _PARTS.labels(part).set(works)
    _DRAINING.set(draining)
    return generate_latest(_REGISTRY)


def value(name: str, **labels: str) -> float:
    """Return a sample's present value; 0 when it was never recorded. For tests and for one-off questions."""
    return _REGISTRY.get_sample_value(name, labels) or 0.0


def names() -> frozenset[str]:
    """Return the names of all samples, as queries use them."""
    families = list(_REGISTRY.collect())
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return frozenset(f"{each.name}{suffix}" for each in families for suffix in suffixes.get(each.type, ("",)))
