"""What Prometheus reads: requests and how long they took, what was answered, and how old it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.answers import Answers
from serving.contracts import ExplainedItem, FailedItem, RecommendedItem, ScoredItem

PARTS: Final = ("model", "policy", "keys", "store")
"""What is looked at for newer versions while the service runs."""
CONTENT_TYPE: Final = "text/plain; version=1.0.0; charset=utf-8"
_SECONDS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_TENTHS: Final = tuple(tenth / 10 for tenth in range(1, 10))


@dataclass(frozen=True, slots=True)
class Tally:
    """What is counted of an answer: churn probabilities; what is sent, or why nothing; and error codes, per item."""

    probabilities: tuple[float, ...] = ()
    decisions: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()

    @classmethod
    def of(cls, items: Iterable[ScoredItem | RecommendedItem | ExplainedItem | FailedItem]) -> Tally:
        """Take down what is counted of an answer's items."""
        probabilities, decisions, errors = [], [], []
        for item in items:
            if isinstance(item, FailedItem):
                errors.append(item.error.code)
                continue
            told = item.decision if isinstance(item, ScoredItem) else item
            if not isinstance(told, RecommendedItem):
                probabilities.append(told.churn_probability)
            if not isinstance(told, ExplainedItem):
                decisions.append(told.no_offer_reason or told.assigned_incentive or "none")
        return cls(tuple(probabilities), tuple(decisions), tuple(errors))


class Metrics:
    """Counts what the service does, on a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Requests by route and status.", "path", "status")
        self._seconds = Histogram(
            "winback_request_seconds", "Time to answer, by route.", ("path",), buckets=_SECONDS, registry=self._registry
        )
        self._churn = Histogram(
            "winback_churn_probability", "Churn probabilities answered.", buckets=_TENTHS, registry=self._registry
        )
        self._decisions = self._counter("decisions", "Decisions answered, by what is sent or why nothing.", "decision")
        self._failed = self._counter("item_errors", "Items answered with an error, by its code.", "code")
        self._reloads = self._counter("reloads", "Models and policies taken over or refused.", "what", "outcome")
        self._served = self._gauge("served", "1 for what is served now.", "model_version", "policy_version")
        self._now: Gauge | None = None
        self._is_current = self._gauge("is_current", "0 while a newer version was refused.", "what")
        for what in PARTS:
            self.holds(what, current=True)

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def count(self, tally: Tally) -> None:
        """Count the decisions and errors of an answer."""
        for probability in tally.probabilities:
            self._churn.observe(probability)
        for decision in tally.decisions:
            self._decisions.labels(decision).inc()
        for code in tally.errors:
            self._failed.labels(code).inc()

    def serves(self, answers: Answers) -> None:
        """Say which versions answer from now on."""
        if self._now is not None:
            self._now.set(0)
        policy = answers.policy_table
        self._now = self._served.labels(answers.bundle.version, policy.version if policy else "none")
        self._now.set(1)

    def reloaded(self, what: str, *, taken: bool) -> None:
        """Count a new version that was taken over or refused."""
        self._reloads.labels(what, "taken" if taken else "refused").inc()
        self.holds(what, current=taken)

    def holds(self, what: str, *, current: bool) -> None:
        """Say whether the newest version of a part is the one that is served."""
        self._is_current.labels(what).set(current)

    def ages(self, what: str, since: Callable[[], datetime | None]) -> None:
        """Show, whenever it is read, the seconds since an instant in naive UTC; nothing where there is none yet."""

        def seconds() -> float:
            instant = since()
            return (
                float("nan") if instant is None else (datetime.now(UTC).replace(tzinfo=None) - instant).total_seconds()
            )

        Gauge(f"winback_{what}_age_seconds", f"Age of the {what}.", registry=self._registry).set_function(seconds)

    def page(self) -> bytes:
        """Return what Prometheus reads."""
        return generate_latest(self._registry)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"winback_{name}", documentation, labels, registry=self._registry)

    def _gauge(self, name: str, documentation: str, *labels: str) -> Gauge:
        return Gauge(f"winback_{name}", documentation, labels, registry=self._registry)
