"""The metrics of a process: labels stay few, and the alert rules and the dashboard ask for what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from bot import metrics

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_a_backend_cannot_make_labels_without_end() -> None:
    """The names of the first models are labels; any further one is `other`."""
    labels = {metrics.model_label(f"model-{number}") for number in range(3 * metrics.MOST_MODELS)}

    assert len(labels) <= metrics.MOST_MODELS + 1
    assert "other" in labels


def test_a_count_that_is_not_known_has_no_value() -> None:
    """While the database is away, its counts are not those of a minute ago."""
    metrics.exposition({"owed": 7}, {}, draining=False)

    assert b"attendant_owed_messages NaN" in metrics.exposition({"running": 1}, {}, draining=False)


def test_alerts_and_dashboard_query_what_there_is() -> None:
    """Each metric that a rule or a panel names is one of ours, and there are six rules with a remedy each."""
    rules = yaml.safe_load((DEPLOY / "prometheus-alerts.yml").read_text(encoding="utf-8"))
    dashboard = json.loads((DEPLOY / "grafana-dashboard.json").read_text(encoding="utf-8"))
    alerts = [rule for group in rules["groups"] for rule in group["rules"]]
    queries = [rule["expr"] for rule in alerts]
    queries += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"\b(?:attendant|process)_\w+", query)}

    assert len(alerts) == 6
    assert all(rule["annotations"]["summary"] and rule["annotations"]["remedy"] for rule in alerts)
    assert asked - metrics.names() == set()
    assert len(asked) >= 12


def test_promtool_accepts_the_rules() -> None:
    """Prometheus' own checker reads the file of rules."""
    if (promtool := shutil.which("promtool")) is None:
        pytest.skip("promtool is missing: install Debian's package prometheus to check the rules with it")
    command = [promtool, "check", "rules", str(DEPLOY / "prometheus-alerts.yml")]
    checked = subprocess.run(command, check=False, capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout + checked.stderr
