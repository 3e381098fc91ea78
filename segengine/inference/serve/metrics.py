"""Prometheus metrics of one server."""

from __future__ import annotations

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters, in a registry of their own, so that two servers in one process don't share any."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = Counter(
            "segengine_requests", "Requests by path and status.", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "segengine_request_seconds", "Time from request to answer of /predict.", registry=registry, buckets=_SECONDS
        )
        self.images = Counter("segengine_images", "Predicted images.", registry=registry)
        self.pixels = Counter("segengine_pixels", "Predicted pixels.", registry=registry)
        self.batch = Histogram(
            "segengine_batch_images", "Images per forward pass.", registry=registry, buckets=(1, 2, 4, 8, 16, 32)
        )
        self.waiting = Gauge("segengine_waiting_images", "Decoded images that wait for a pass.", registry=registry)
        self.active = Gauge("segengine_active_requests", "Uploaded, unanswered requests.", registry=registry)
        memory = Gauge("segengine_resident_bytes", "Resident memory of the server.", registry=registry)
        memory.set_function(lambda: float(psutil.Process().memory_info().rss))

    def text(self) -> bytes:
        """All metrics in the text format of Prometheus."""
        return generate_latest(self._registry)
