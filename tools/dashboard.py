"""Writes the chart's dashboard for Grafana, ``charts/kpl-lab/files/dashboard.json``.

python -m tools.dashboard
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "charts" / "kpl-lab" / "files" / "dashboard.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _PER_ROW = 8, 8, 3


@dataclass(frozen=True)
class Panel:
    """One picture: each query with the legend of its lines; ``@`` stands for the chosen job."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]


def _p95(name: str, by: str) -> str:
    return (
        f"histogram_quantile(0.95, sum by (le, {by}) (rate({name}_bucket{{@}}[$__rate_interval])))"
    )


def _rate(name: str, by: str, more: str = "") -> str:
    return f"sum by ({by}) (rate({name}{{@{more}}}[$__rate_interval]))"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Queue and tasks",
        (
            Panel("Tasks that wait", "short", (("kpl_lab_task_queue_length{@}", "waiting"),)),
            Panel(
                "The oldest has waited", "s", (("kpl_lab_task_queue_oldest_seconds{@}", "oldest"),)
            ),
            Panel(
                "Wait until there is room, 95 %",
                "s",
                ((_p95("kpl_lab_task_wait_seconds", "job"), "95 %"),),
            ),
            Panel(
                "Tasks that are not over",
                "short",
                (('kpl_lab_tasks{@,state=~"queued|preparing|running|stopping"}', "{{state}}"),),
            ),
            Panel(
                "Ends per hour",
                "short",
                (("sum by (state) (increase(kpl_lab_tasks_ended_total{@}[1h]))", "{{state}}"),),
            ),
            Panel(
                "Failures per hour, by reason",
                "short",
                (
                    (
                        'sum by (reason) (increase(kpl_lab_tasks_ended_total{@,state="failed"}[1h]))',
                        "{{reason}}",
                    ),
                ),
            ),
        ),
    ),
    (
        "Servers, services, builds",
        (
            Panel(
                "Notebook servers",
                "short",
                (('kpl_lab_servers{@,state=~"pending|starting|running|stopping"}', "{{state}}"),),
            ),
            Panel(
                "Start of a server, 95 %",
                "s",
                ((_p95("kpl_lab_server_spawn_seconds", "job"), "95 %"),),
            ),
            Panel(
                "Servers that failed per hour",
                "short",
                (
                    (
                        'sum by (reason) (increase(kpl_lab_servers_ended_total{@,state="failed"}[1h]))',
                        "{{reason}}",
                    ),
                ),
            ),
            Panel("Services", "short", (("kpl_lab_services{@}", "{{state}}"),)),
            Panel("Replicas", "short", (("kpl_lab_service_replicas{@}", "{{state}}"),)),
            Panel(
                "Builds",
                "short",
                (
                    ('kpl_lab_builds{@,state=~"queued|running"}', "{{state}}"),
                    (_p95("kpl_lab_build_duration_seconds", "state"), "95 % of {{state}}, seconds"),
                ),
            ),
        ),
    ),
    (
        "Capacity",
        (
            Panel("CPU cores", "short", (("kpl_lab_capacity_cpu_cores{@}", "{{amount}}"),)),
            Panel("Memory", "bytes", (("kpl_lab_capacity_memory_bytes{@}", "{{amount}}"),)),
            Panel("GPUs", "short", (("kpl_lab_capacity_gpus{@}", "{{amount}}"),)),
        ),
    ),
    (
        "API",
        (
            Panel(
                "Requests",
                "reqps",
                ((_rate("kpl_lab_http_requests_total", "status"), "{{status}}"),),
            ),
            Panel(
                "Time to answer, 95 %",
                "s",
                (
                    (
                        f"topk(10, {_p95('kpl_lab_http_request_duration_seconds', 'method, route')})",
                        "{{method}} {{route}}",
                    ),
                ),
            ),
            Panel(
                "Faults of the platform",
                "reqps",
                (
                    (
                        _rate("kpl_lab_http_requests_total", "method, route", ',status="5xx"'),
                        "{{method}} {{route}}",
                    ),
                ),
            ),
        ),
    ),
    (
        "Controller, engine, processes",
        (
            Panel(
                "Looks of the controller",
                "ops",
                (
                    (
                        _rate("kpl_lab_controller_reconciles_total", "resource, result"),
                        "{{resource}} {{result}}",
                    ),
                ),
            ),
            Panel(
                "A look, 95 %",
                "s",
                (
                    (
                        _p95("kpl_lab_controller_reconcile_duration_seconds", "resource"),
                        "{{resource}}",
                    ),
                ),
            ),
            Panel(
                "Depth of its queues",
                "short",
                (('kpl_lab_controller_queue_depth{@,process="controller"}', "{{queue}}"),),
            ),
            Panel(
                "Calls of the engine that failed",
                "ops",
                (
                    (
                        _rate("kpl_lab_engine_calls_total", "call, result", ',result!="ok"'),
                        "{{call}} {{result}}",
                    ),
                ),
            ),
            Panel(
                "Requests to the cluster",
                "reqps",
                (
                    (
                        _rate("kpl_lab_kubernetes_requests_total", "verb, status"),
                        "{{verb}} {{status}}",
                    ),
                ),
            ),
            Panel(
                "Memory of processes",
                "bytes",
                (("kpl_lab_process_resident_memory_bytes{@}", "{{process}}"),),
            ),
            Panel(
                "CPU of processes",
                "short",
                ((_rate("kpl_lab_process_cpu_seconds_total", "process"), "{{process}}"),),
            ),
            Panel(
                "What answers",
                "short",
                (
                    ("kpl_lab_process_up{@}", "{{process}}"),
                    ("kpl_lab_database_up{@}", "database"),
                    ("kpl_lab_engine_up{@}", "engine"),
                ),
            ),
            Panel("Version", "short", (("kpl_lab_build_info{@}", "{{version}} on {{engine}}"),)),
        ),
    ),
)


def _panel(panel: Panel, id: int, x: int, y: int) -> dict[str, Any]:
    return {
        "id": id,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "targets": [
            {
                "refId": chr(ord("A") + number),
                "datasource": _SOURCE,
                "expr": query.replace("@", 'job=~"$job"'),
                "legendFormat": legend,
            }
            for number, (query, legend) in enumerate(panel.queries)
        ],
    }


def _panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    y = 0
    for title, panels in ROWS:
        place = {"x": 0, "y": y, "w": _WIDTH * _PER_ROW, "h": 1}
        found.append(
            {"id": len(found) + 1, "type": "row", "title": title, "gridPos": place, "panels": []}
        )
        for number, panel in enumerate(panels):
            x, row = number % _PER_ROW * _WIDTH, number // _PER_ROW * _HEIGHT
            found.append(_panel(panel, len(found) + 1, x, y + 1 + row))
        y += 1 + -(-len(panels) // _PER_ROW) * _HEIGHT
    return found


def _variables() -> list[dict[str, Any]]:
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        {
            "name": "job",
            "type": "query",
            "label": "Job",
            "datasource": _SOURCE,
            "query": "label_values(kpl_lab_build_info, job)",
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "allValue": ".+",
            "current": {"text": "All", "value": "$__all"},
        },
    ]


def text() -> str:
    """Return the dashboard as it should be."""
    dashboard = {
        "uid": "kpl-lab",
        "title": "KPL Lab",
        "tags": ["kpl-lab"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": _panels(),
    }
    return json.dumps(dashboard, indent=1) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(text())
