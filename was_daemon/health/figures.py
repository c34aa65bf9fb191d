"""What monitoring is told: of one process, or of all that are one daemon."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric

from was_daemon.health.checks import Health, Report
from was_daemon.telemetry.metrics import Metrics

Families = list[dict[str, Any]]
"""The metrics of a process as JSON knows them."""


@attrs.frozen(eq=False)
class Figures:
    """Those of this process."""

    health: Health
    metrics: Metrics

    async def report(self) -> Report:
        """What is the matter."""
        return await self.health.report()

    async def exposition(self) -> bytes:
        """Everything that is counted, in Prometheus' text format."""
        # Some of it is found by looking.
        await self.health.report()
        return self.metrics.exposition()

    def families(self) -> Families:
        """Everything that is counted, to be sent to another process."""
        return [
            {
                "name": family.name,
                "documentation": family.documentation,
                "type": family.type,
                "samples": [[sample.name, sample.labels, sample.value] for sample in family.samples],
            }
            for family in self.metrics.registry.collect()
        ]


def together(processes: Mapping[int, Families]) -> bytes:
    """The metrics of processes by their numbers, in Prometheus' text format, each with the label `process`.

    Adding them up is left to Prometheus: when a process is replaced its counters begin at 0, as Prometheus expects of
    each series, while a sum would jump back to what the others have counted.
    """
    return generate_latest(_Together(processes))


class _Together:
    def __init__(self, processes: Mapping[int, Families]) -> None:
        self._processes = processes

    def collect(self) -> Iterable[Metric]:
        """As a registry does."""
        merged: dict[str, Metric] = {}
        for number, families in self._processes.items():
            for family in families:
                metric = merged.get(family["name"])
                if metric is None:
                    metric = Metric(family["name"], family["documentation"], family["type"])
                    merged[family["name"]] = metric
                for name, labels, value in family["samples"]:
                    metric.add_sample(name, {**labels, "process": str(number)}, value)
        return merged.values()
