"""Pipelines, their versions and their upload."""

from collections.abc import Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import TYPE_CHECKING

from tests.kfp_server import specs
from tests.kfp_server.answers import Object, RefusedError, missing, page, stamp

if TYPE_CHECKING:
    from tests.kfp_server.server import KfpServer

FIELDS = {"name", "display_name", "created_at", "description", "namespace"}
VERSION_FIELDS = {"name", "display_name", "created_at", "status", "description"}


def answer(kfp: "KfpServer", method: str, parts: list[str], query: Mapping[str, str], body: Object) -> Object:
    """Requests below `/pipelines`, but for uploads."""
    if not parts:
        return _create(kfp, body) if method == "POST" else _list(kfp, query)
    if parts[0] == "names":
        return _by_name(kfp, parts[1], query.get("namespace", ""))
    if parts[0] not in kfp.pipelines:
        raise missing("Pipeline", parts[0])
    if len(parts) == 1:
        return kfp.pipelines[parts[0]]
    own = [version for version in kfp.versions.values() if version["pipeline_id"] == parts[0]]
    if len(parts) == 2:
        return page(own, "pipeline_versions", "pipeline_version_id", query, VERSION_FIELDS)
    if parts[2] not in kfp.versions:
        raise missing("PipelineVersion", parts[2])
    return kfp.versions[parts[2]]


def upload(kfp: "KfpServer", path: str, query: Mapping[str, str], kind: str, content: bytes) -> Object:
    """`/pipelines/upload` and `/pipelines/upload_version`: a form with the file, everything else in the query."""
    file, text = _form(kind, content)
    if not file.endswith((".yaml", ".yml", ".json")):
        raise RefusedError(400, "Failed to read a pipeline spec file")
    spec = specs.parse(text)
    if path.endswith("upload_version"):
        if query.get("pipelineid") not in kfp.pipelines:
            raise RefusedError(400, "Failed to create a pipeline version")
        return add_version(kfp, query["pipelineid"], query.get("name") or file, spec, query.get("description", ""))
    named = {"name": query.get("name") or specs.name(spec), "namespace": query.get("namespace", "")}
    pipeline = _create(kfp, {**named, "description": query.get("description", "")})
    add_version(kfp, pipeline["pipeline_id"], pipeline["name"], spec, "")
    return pipeline


def add_version(kfp: "KfpServer", pipeline: str, name: str, spec: Object, description: str) -> Object:
    own = [version for version in kfp.versions.values() if version["pipeline_id"] == pipeline]
    if name in (version["name"] for version in own):  # a unique index of the database
        raise RefusedError(409, "Failed to create a pipeline version")
    found = {
        "pipeline_id": pipeline,
        "pipeline_version_id": kfp.new_id("version"),
        "name": name,
        "display_name": name,
        "description": description,
        "created_at": stamp(kfp.tick()),
        "pipeline_spec": spec,
    }
    kfp.versions[found["pipeline_version_id"]] = found
    return found


def _create(kfp: "KfpServer", body: Object) -> Object:
    name = body.get("name") or body.get("display_name")
    if not name:
        raise RefusedError(400, "name is required")
    namespace = kfp.replaced(body.get("namespace", ""))
    if any(one["name"] == name and one.get("namespace", "") == namespace for one in kfp.pipelines.values()):
        raise RefusedError(409, f"Failed to create a new pipeline. The name {name} already exist.")
    found = {
        "pipeline_id": kfp.new_id("pipeline"),
        "name": name,
        "display_name": body.get("display_name") or name,
        "description": body.get("description", ""),
        "created_at": stamp(kfp.tick()),
        **({"namespace": namespace} if namespace else {}),
    }
    kfp.pipelines[found["pipeline_id"]] = found
    return found


def _by_name(kfp: "KfpServer", name: str, namespace: str) -> Object:
    for one in kfp.pipelines.values():
        if one["name"] == name and one.get("namespace", "") == kfp.replaced(namespace):
            return one
    raise missing("Pipeline", name)


def _list(kfp: "KfpServer", query: Mapping[str, str]) -> Object:
    namespace = kfp.replaced(query.get("namespace", ""))
    found = [one for one in kfp.pipelines.values() if one.get("namespace", "") == namespace]
    return page(found, "pipelines", "pipeline_id", query, FIELDS)


def _form(kind: str, content: bytes) -> tuple[str, str]:
    """The name and the text of the file in a form."""
    if not kind.startswith("multipart/form-data"):
        raise RefusedError(400, "Failed to read pipeline from file")
    form: Message = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
    for part in form.walk():
        if part.get_param("name", header="content-disposition") == "uploadfile":
            return part.get_filename() or "", bytes(part.get_payload(decode=True)).decode()  # type: ignore[arg-type]
    raise RefusedError(400, "Failed to read pipeline from file")
