"""Finds what a test looks at in rendered manifests."""

from typing import Any

Object = dict[str, Any]


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of that kind whose name is that, or that with a hash behind it."""
    (found,) = [
        each
        for each in objects
        if each["kind"] == kind and (each["metadata"]["name"] == name or _is_hashed(each["metadata"]["name"], name))
    ]
    return found


def _is_hashed(name: str, wanted: str) -> bool:
    head, _, tail = name.rpartition("-")
    return head == wanted and len(tail) == 10


def pods(objects: list[Object]) -> dict[str, Object]:
    """The specs of all pods that the objects lead to, by the object's kind and name."""
    found = {}
    for each in objects:
        spec = each.get("spec") or {}
        if each["kind"] == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if "template" in spec:
            spec = spec["template"]["spec"]
        if "containers" in spec:
            found[f"{each['kind']} {each['metadata']['name']}"] = spec
    return found
