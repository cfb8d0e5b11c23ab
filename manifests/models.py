"""Custom resources against the Python models of `kserve` and `kubeflow-training`, strictly.

The models are generated from the same Go types as the CRDs: each class tells its fields' types (`openapi_types`) and
their names in YAML (`attribute_map`). Which fields are required the classes do not tell.
"""

import importlib
import re
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

CLASSES = {
    ("serving.kserve.io/v1beta1", "InferenceService"): ("kserve", "kserve.models", "V1beta1InferenceService"),
    ("serving.kserve.io/v1alpha1", "ServingRuntime"): ("kserve", "kserve.models", "V1alpha1ServingRuntime"),
    ("kubeflow.org/v1", "TFJob"): ("kubeflow-training", "kubeflow.training.models", "KubeflowOrgV1TFJob"),
}
"""Package, module and class of each kind that has a model."""
KUBERNETES = "kubernetes.client.models"
LIST = re.compile(r"list\[(.*)\]")
QUALIFIED = re.compile(r"^K8sIoApi\w+?(?=V\d)")
"""Kubernetes' own types, as `kserve` names some of them: K8sIoApiAppsV1DeploymentStrategy is V1DeploymentStrategy."""
MAPPING = re.compile(r"dict[(\[](?:str), ?(.*)[)\]]")
SCALARS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "datetime": (str,),
}


def module_of(api_version: str, kind: str) -> ModuleType | None:
    """The module that has the kind's model; None where its package is not installed."""
    try:
        return importlib.import_module(CLASSES[api_version, kind][1])
    except ImportError:
        return None


def problems(found: dict[str, Any], module: ModuleType) -> list[str]:
    """What is wrong with an object, each with the place in it.

    Args:
        found: the object.
        module: `module_of` its kind.
    """
    name = CLASSES[found["apiVersion"], found["kind"]][2]
    return list(_wrong(found, name, (module, importlib.import_module(KUBERNETES)), ""))


def _wrong(value: Any, kind: str, modules: tuple[ModuleType, ...], place: str) -> Iterator[str]:
    if value is None or kind == "object":
        return
    if (listed := LIST.fullmatch(kind)) and isinstance(value, list):
        yield from _wrong_items(enumerate(value), listed[1], modules, place)
    elif (mapped := MAPPING.fullmatch(kind)) and isinstance(value, dict):
        yield from _wrong_items(value.items(), mapped[1], modules, place)
    elif listed or MAPPING.fullmatch(kind):
        yield f"{place}: {value!r} is no {kind}"
    elif kind in SCALARS:
        if not isinstance(value, SCALARS[kind]) or (isinstance(value, bool) and kind != "bool"):
            yield f"{place}: {value!r} is no {kind}"
    else:
        yield from _wrong_fields(value, kind, modules, place)


def _wrong_items(
    items: Iterable[tuple[Any, Any]], kind: str, modules: tuple[ModuleType, ...], place: str
) -> Iterator[str]:
    for key, item in items:
        yield from _wrong(item, kind, modules, f"{place}.{key}")


def _wrong_fields(value: Any, kind: str, modules: tuple[ModuleType, ...], place: str) -> Iterator[str]:
    name = QUALIFIED.sub("", kind)
    model = next((vars(module)[name] for module in modules if name in vars(module)), None)
    if model is None:
        yield f"{place} is a {kind}, which the models do not have"
        return
    if not isinstance(value, dict):
        yield f"{place}: {value!r} is no {kind}"
        return
    attributes = {name: attribute for attribute, name in model.attribute_map.items()}
    for key, item in value.items():
        if key not in attributes:
            yield f"{place or 'the object'}: {key} is unknown; {kind} has {', '.join(sorted(attributes))}"
        else:
            yield from _wrong(item, model.openapi_types[attributes[key]], modules, f"{place}.{key}".lstrip("."))
