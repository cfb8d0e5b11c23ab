"""ServiceMonitor and PrometheusRule (monitoring.coreos.com/v1), strictly; expressions by `promtool` where it is there.

The schemas name the fields of the Prometheus operator's API (0.82) that the manifests here may use, not all of them.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]
DURATION = {"type": "string", "pattern": r"^[0-9]+(ms|s|m|h|d|w)$"}
TEXTS: Object = {"type": "object", "additionalProperties": {"type": "string"}}


def _object(required: tuple[str, ...] = (), **properties: Object) -> Object:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _list(items: Object) -> Object:
    return {"type": "array", "items": items, "minItems": 1}


TEXT: Object = {"type": "string", "minLength": 1}
REQUIREMENT = _object(("key", "operator"), key=TEXT, operator=TEXT, values=_list(TEXT))
SELECTOR = _object(matchLabels=TEXTS, matchExpressions=_list(REQUIREMENT))
ENDPOINT = _object(("port",), port=TEXT, path=TEXT, scheme=TEXT, interval=DURATION, scrapeTimeout=DURATION)
RECORD = _object(("record", "expr"), record=TEXT, expr=TEXT, labels=TEXTS)
ALERT = _object(
    ("alert", "expr", "labels", "annotations"),
    alert=TEXT, expr=TEXT, labels=TEXTS, annotations=TEXTS, keep_firing_for=DURATION, **{"for": DURATION},
)  # fmt: skip
RULE: Object = {"if": {"required": ["alert"]}, "then": ALERT, "else": RECORD}
GROUP = _object(("name", "rules"), name=TEXT, interval=DURATION, rules=_list(RULE))
SPECS = {
    "ServiceMonitor": _object(
        ("selector", "endpoints"),
        selector=SELECTOR, endpoints=_list(ENDPOINT), targetLabels=_list(TEXT), podTargetLabels=_list(TEXT),
        namespaceSelector=_object(matchNames=_list(TEXT), any={"type": "boolean"}), jobLabel=TEXT,
    ),
    "PrometheusRule": _object(("groups",), groups=_list(GROUP)),
}  # fmt: skip
SCHEMAS = {
    ("monitoring.coreos.com/v1", kind): _object(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion=TEXT, kind=TEXT, metadata={"type": "object"}, spec=spec,
    )
    for kind, spec in SPECS.items()
}  # fmt: skip


def promtool() -> str | None:
    """Where Prometheus's own checker of rules is installed."""
    return shutil.which("promtool")


def problems(rules: Object, program: str) -> list[str]:
    """What `promtool` finds wrong with the expressions and templates of a PrometheusRule.

    Args:
        rules: the object; its `spec` is what Prometheus reads as a file.
        program: `promtool`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rules.yaml")
        path.write_text(yaml.safe_dump(rules["spec"]), encoding="utf-8")
        checked = subprocess.run([program, "check", "rules", str(path)], capture_output=True, text=True, check=False)
    said = " ".join(f"{checked.stdout} {checked.stderr}".replace(str(path), "spec").split())
    return [] if checked.returncode == 0 else [said]
