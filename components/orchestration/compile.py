"""A model's pipeline as the YAML that Kubeflow Pipelines takes, with a version named by its content."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf import json_format
from kfp.compiler import Compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions

from components.cluster_config import BUILT_IN, StepName
from components.config import ModelConfig
from components.errors import UserError
from components.orchestration.cluster import Placement
from components.orchestration.draw import DEFAULT_WORK, Draw
from components.orchestration.images import image
from components.orchestration.lock import chosen_lock, pinned, read_lock
from components.schema import canonical_json

MAX_BYTES = 700_000
"""What Argo takes of a pipeline (backend/src/apiserver/model/pipeline_version.go of kubeflow/pipelines)."""
MAX_WORK_BYTES = 2_000
"""KFP's API server takes 10,000 bytes of parameters, as JSON (MAX_PARAMETER_BYTES there)."""


@dataclass(frozen=True)
class Compiled:
    """A compiled pipeline.

    Attributes:
        name: of the pipeline, `evergreen-<model>`.
        version: the pipeline's name and twelve digits of its content's hash: equal content has an equal name, in KFP's
            database and as the name of a Kubernetes resource.
        work: default of the parameter `work_uri`.
        yaml: the pipeline's specification and its platform's, as two YAML documents.
        drawn: what KFP made of the pipeline function.
    """

    name: str
    version: str
    work: str
    yaml: str
    drawn: Any

    def manifests(self, namespace: str | None) -> str:
        """The same as the Kubernetes resources `Pipeline` and `PipelineVersion`.

        Args:
            namespace: where they belong; None: where they are applied.
        """
        options = KubernetesManifestOptions(
            pipeline_version_name=self.version, namespace=namespace, include_pipeline_manifest=True
        )
        return _written(self.drawn, kubernetes_manifest_format=True, kubernetes_manifest_options=options)


def compile_pipeline(draw: Draw, config: ModelConfig, work: str | None, lock: Path | None) -> Compiled:
    """Compiles the pipeline of a model for a cluster.

    Args:
        draw: draws it.
        config: the model.
        work: default of the parameter `work_uri`; None: what `cluster.work_uri` says, else `.evergreen`.
        lock: the addresses of pushed images; None: `images.lock` beside pipeline.py, where there is one.

    Raises:
        UserError: the lock cannot be read or is of other code, or the pipeline is larger than a cluster takes.
    """
    placement = Placement(config, image_addresses(lock, config.cluster.registry))
    place = work or config.cluster.work_uri or DEFAULT_WORK
    place = place.rstrip("/") if "://" in place else place  # the steps' cache keys hold it as it is
    drawn = draw(config, place, placement)
    text = _written(drawn)
    _check_size(text, place)
    content = [json_format.MessageToDict(message) for message in (drawn.pipeline_spec, drawn.platform_spec)]
    name = content[0]["pipelineInfo"]["name"]
    version = f"{name}-{hashlib.sha256(canonical_json(content).encode()).hexdigest()[:12]}"
    return Compiled(name, version, place, text, drawn)


def notes(config: ModelConfig, compiled: Compiled, lock: Path | None) -> list[str]:
    """What a cluster would not find, unless there is more on its nodes than we know of.

    Args:
        config: the model.
        compiled: its pipeline.
        lock: what it was compiled with.
    """
    said = []
    if "://" not in compiled.work:
        said.append(
            _path_note("work_uri (--work, cluster.work_uri)", compiled.work, "a URL such as s3://bucket/evergreen")
        )
    if _is_unseen(config, "ingest", config.ingest.source):
        said.append(_path_note("ingest.source", config.ingest.source, "a URL such as s3://bucket/rows/*.parquet"))
    if config.predict.source is not None:
        if _is_unseen(config, "predict", config.predict.source):
            said.append(_path_note("predict.source", config.predict.source, "a URL such as s3://bucket/rows/*.parquet"))
        if _is_unseen(config, "predict", config.predict.output):
            said.append(_path_note("predict.output", config.predict.output, "a folder below {work}"))
    if chosen_lock(lock) is None and not config.cluster.registry:
        said.append(
            "the images have no registry, and start only on nodes that they were loaded on; elsewhere run `make images "
            "PUSH=1 REGISTRY=…`, or give cluster.registry"
        )
    return said


def _is_unseen(config: ModelConfig, step: StepName, place: str) -> bool:
    """Whether a place is a path that no volume of the step's pod holds."""
    mounted = any(PurePosixPath(place).is_relative_to(one.path) for one in config.cluster.settings(step).volumes)
    return "://" not in place and not place.startswith("{work}") and not mounted


def _path_note(key: str, place: str, instead: str) -> str:
    return f"{key} is {place}, a path; a cluster needs {instead}"


def image_addresses(lock: Path | None, registry: str) -> dict[str, str]:
    """Where a cluster pulls the image of each step from, by the image's name.

    Args:
        lock: JSON that `make images PUSH=1` wrote: names with the hash of their content, and addresses with a digest;
            None: `images.lock` beside pipeline.py, where there is one.
        registry: registry and path that images have without a lock.

    Raises:
        UserError: the lock cannot be read, or lacks an image of this very code.
    """
    names = [image(step) for step in BUILT_IN]
    path = chosen_lock(lock)
    if path is None:
        return {name: f"{registry}/{name}" if registry else name for name in names}
    locked = read_lock(path)
    return {name: pinned(locked, name, path) for name in names}


def _written(drawn: Any, **options: Any) -> str:
    """What KFP's compiler, which writes to files only, writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pipeline.yaml")
        Compiler().compile(drawn, str(path), **options)
        return path.read_text(encoding="utf-8")


def _check_size(text: str, work: str) -> None:
    if len(text.encode()) > MAX_BYTES:
        raise UserError(
            f"the pipeline is {len(text.encode()):,} bytes as YAML; a cluster takes {MAX_BYTES:,}: declare fewer "
            "columns or features"
        )
    if len(work.encode()) > MAX_WORK_BYTES:
        raise UserError(f"work_uri is {len(work.encode()):,} bytes; it must be at most {MAX_WORK_BYTES:,}: shorten it")
