"""Gives the tasks of a pipeline what the section `cluster` of model.yaml says, while it is drawn for a cluster.

A run on this machine is drawn without: KFP's local runner would wait between retries, and look for other images.

What KFP's backend and Argo (read in kubeflow/pipelines 2.17 and Argo 4) make of the settings:

* a retry's longest time is counted from the first attempt's start, its work included, and KFP's default is an hour: it
  would never retry a long training. So it is the run's own limit here.
* a retry follows any failure, whatever the exit code, and a pod that was ended by its timeout or by a node that was
  taken away; not a pod that somebody deleted before Argo saw it end.
* a timeout counts from the pod's start; what waits for a node is ended by the run's limit only.
* each pod has the label `pipeline/runid` by KFP, which `step.py` hands on. Ours, `run`, is the same: KFP's API server
  and its controller of recurring runs write the run's id for `{{workflow.uid}}` wherever that stands in a workflow
  (ReplaceUID in backend/src/common/util/workflow.go), in the arguments that carry labels too.
* KFP drops all capabilities, forbids privilege escalation and sets seccomp's default itself; there is no way to ask it
  for a read-only root file system, which the images bear and a policy of the cluster may impose.
* importers and KFP's drivers are pods of KFP's own: only its administrator gives them labels and resources.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp import kubernetes
from kfp.dsl.pipeline_context import Pipeline

from components.cluster_config import Nodes, StepName, StepSettings, Volume
from components.config import ModelConfig

NO_OWNER = "unknown"
RUN_ID = "{{workflow.uid}}"
LONGEST_LABEL = 63
WRITABLE = "/tmp"
"""KFP's executor and the images' HOME are there; it is Python's folder for temporary files."""


@dataclass(frozen=True)
class Placement:
    """Where and how the steps of a model run on a cluster.

    Attributes:
        config: the model, with its section `cluster`.
        addresses: of each image's name, where a cluster pulls it from.
    """

    config: ModelConfig
    addresses: Mapping[str, str]

    def apply(self) -> None:
        """Sets up all tasks of the pipeline that is being drawn."""
        for task in Pipeline.get_default_pipeline().tasks.values():
            if task.container_spec is not None:  # no importer
                self._set_up(task, task.component_spec.name)

    def _set_up(self, task: Any, step: StepName) -> None:
        settings = self.config.cluster.settings(step)
        task.set_container_image(self.addresses[task.container_spec.image])
        _set_resources(task, settings)
        _set_failure(task, settings, self.config.cluster.run_hours)
        _set_nodes(task, self.config.cluster.nodes(step))
        _set_environment(task, settings)
        _set_folders(task, settings)
        for key, value in self._labels(step).items():
            kubernetes.add_pod_label(task, key, value)
        kubernetes.set_security_context(task, run_as_non_root=True)
        if self.config.cluster.image_pull_secrets:
            kubernetes.set_image_pull_secrets(task, list(self.config.cluster.image_pull_secrets))

    def _labels(self, step: str) -> dict[str, str]:
        return {
            **self.config.cluster.labels,
            "app.kubernetes.io/part-of": "evergreen",
            "model": self.config.name,
            "step": step,
            "run": RUN_ID,
            "owner": label_value(self.config.owner) or NO_OWNER,
        }


def label_value(text: str) -> str:
    """The text as the value of a label: at most 63 letters, digits, `-`, `_`, `.`, a letter or digit at both ends."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)[:LONGEST_LABEL].strip("-_.")


def _set_resources(task: Any, settings: StepSettings) -> None:
    task.set_cpu_request(_cores(settings.cpu)).set_cpu_limit(_cores(settings.cpu_ceiling))
    task.set_memory_request(settings.memory).set_memory_limit(settings.memory_ceiling)
    if settings.gpus:
        task.set_accelerator_type(settings.accelerator).set_accelerator_limit(settings.gpus)


def _cores(number: float) -> str:
    return f"{round(1000 * number)}m"


def _set_failure(task: Any, settings: StepSettings, run_hours: int) -> None:
    task.set_retry(
        settings.retries,
        backoff_duration=f"{settings.backoff_s}s",
        backoff_factor=settings.backoff_factor,
        backoff_max_duration=f"{run_hours}h",
    )
    kubernetes.set_timeout(task, 60 * settings.timeout_minutes)


def _set_nodes(task: Any, nodes: Nodes) -> None:
    for key, value in nodes.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in nodes.tolerations:
        kubernetes.add_toleration(
            task, toleration.key or None, toleration.operator, toleration.value or None, toleration.effect
        )


def _set_environment(task: Any, settings: StepSettings) -> None:
    """Sets the variables that come from the cluster.

    All are optional: a pod whose Secret is missing would wait for it and say nothing until the run's limit; so it fails
    at once, in the words of whatever misses the variable. The same holds for the files of Secrets.
    """
    for name, variables in settings.secrets.items():
        for variable, key in variables.items():
            kubernetes.use_secret_as_env(task, name, {key: variable}, optional=True)
    for name, variables in settings.config_maps.items():
        for variable, key in variables.items():
            kubernetes.use_config_map_as_env(task, name, {key: variable}, optional=True)


def _set_folders(task: Any, settings: StepSettings) -> None:
    kubernetes.empty_dir_mount(task, "tmp", WRITABLE, size_limit=settings.tmp)
    for number, volume in enumerate(settings.volumes):
        _mount(task, volume, f"empty-{number}")


def _mount(task: Any, volume: Volume, name: str) -> None:
    if volume.claim is not None:
        kubernetes.mount_pvc(task, volume.claim, volume.path)
    elif volume.secret is not None:
        kubernetes.use_secret_as_volume(task, volume.secret, volume.path, optional=True)
    elif volume.config_map is not None:
        kubernetes.use_config_map_as_volume(task, volume.config_map, volume.path, optional=True)
    else:
        kubernetes.empty_dir_mount(task, name, volume.path, size_limit=volume.empty_dir)
