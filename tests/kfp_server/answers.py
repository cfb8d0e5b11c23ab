"""How the API server of Kubeflow Pipelines words its answers: errors, times, filters, pages."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from urllib.parse import unquote

Object = dict[str, Any]
MOST_A_PAGE = 200
CODES = {400: 3, 401: 16, 403: 7, 404: 5, 409: 6, 500: 13, 503: 14}
OPERATIONS = {"EQUALS": str.__eq__, "NOT_EQUALS": str.__ne__, 1: str.__eq__, 2: str.__ne__}
"""A filter may name an operation or give its number."""


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def failure(message: str, code: int) -> Object:
    return {"error": message, "code": CODES.get(code, 2), "message": message, "details": []}


def missing(kind: str, name: str) -> RefusedError:
    return RefusedError(404, f"ResourceNotFoundError: {kind} {name} not found")


def stamp(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def page(found: list[Object], key: str, name: str, query: Mapping[str, str], fields: set[str]) -> Object:
    """One page of a listing; a page token stands for order and filter too.

    Args:
        found: everything that there is.
        key: of the list in the answer.
        name: of the field that holds an object's id.
        query: the request's.
        fields: by which one may sort and filter.
    """
    order, only = query.get("sort_by", ""), json.loads(unquote(query.get("filter", "{}")))
    first = 0
    if query.get("page_token"):
        token = json.loads(base64.b64decode(query["page_token"]))
        if (order or only) and [order, only] != token[:2]:
            raise RefusedError(400, "page token does not match the supplied sort by and/or filtering criteria")
        order, only, first = token
    field, _, direction = order.partition(" ")
    predicates = only.get("predicates", [])
    if {field or name, *(one["key"] for one in predicates)} - fields - {name}:
        raise RefusedError(400, "no support for an unrecognized field")
    found = [one for one in found if all(_holds(one, predicate) for predicate in predicates)]
    found.sort(key=lambda one: (one[field or name], one[name]), reverse=direction == "desc")
    size = min(int(query.get("page_size") or 20), MOST_A_PAGE)
    answer: Object = {key: found[first : first + size], "total_size": len(found)}
    if len(found) > first + size:
        answer["next_page_token"] = base64.b64encode(json.dumps([order, only, first + size]).encode()).decode()
    return answer


def _holds(one: Object, predicate: Object) -> bool:
    value: str = predicate.get("string_value", predicate.get("stringValue", ""))
    return OPERATIONS[predicate["operation"]](one.get(predicate["key"], ""), value)
