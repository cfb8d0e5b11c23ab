"""The requests to a Kubernetes API server that are made for one InferenceService (serving.kserve.io/v1beta1).

An InferenceService is changed by reading it and writing it whole: the API server refuses what was made from an older
one (`metadata.resourceVersion`), so that of two who change it at once one is told.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from kubernetes import client
from kubernetes.client.exceptions import ApiException

from components.errors import UserError
from components.kubernetes.asking import ask, read, refusing
from components.kubernetes.errors import status
from components.kubernetes.tfjob import Object

GROUP, VERSION, KIND, PLURAL = "serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices"
POD_LABEL = "serving.kserve.io/inferenceservice"
"""KServe's label of the pods: the name of their InferenceService."""


class ConflictError(Exception):
    """Somebody else made, changed or deleted it meanwhile, or an earlier try of this request did; read it again."""


@dataclass
class InferenceServiceApi:
    """One InferenceService, which may not be there; objects are as the API server writes them."""

    api: client.ApiClient
    namespace: str
    name: str

    def __post_init__(self) -> None:
        self._core = client.CoreV1Api(self.api)
        self._custom = client.CustomObjectsApi(self.api)
        self._kind = {"group": GROUP, "version": VERSION, "namespace": self.namespace, "plural": PLURAL}

    def __str__(self) -> str:
        return f"InferenceService {self.namespace}/{self.name}"

    def find(self) -> Object | None:
        """The InferenceService; None where there is none.

        Raises:
            UserError: it may not be read, or the API server was away for long.
        """
        return read("read InferenceServices", self._custom.get_namespaced_custom_object, **self._kind, name=self.name)

    def create(self, manifest: Object) -> None:
        """Makes it.

        Raises:
            ConflictError: there is one of that name.
            UserError: it is not allowed, invalid, KServe is not installed, or the API server was away for long.
        """
        doing = f"make {self}"
        with _conflicts(doing):
            try:
                ask(self._custom.create_namespaced_custom_object, **self._kind, body=manifest)
            except ApiException as error:
                if error.status == 404:
                    raise UserError(
                        f"this pod cannot {doing}, for the cluster knows no InferenceService ({GROUP}/{VERSION}) or no "
                        f"namespace {self.namespace}; install KServe, or mend deploy.inference_service.namespace"
                    ) from None
                raise

    def replace(self, changed: Object) -> None:
        """Writes it whole.

        Args:
            changed: what `find` gave, with another `spec`; its resource version must still be the present one.

        Raises:
            ConflictError: it was changed or deleted since.
            UserError: it is not allowed, invalid, or the API server was away for long.
        """
        with _conflicts(f"change {self}"):
            ask(self._custom.replace_namespaced_custom_object, **self._kind, name=self.name, body=changed)

    def delete(self, found: Object) -> None:
        """Deletes it; one that is gone is no error.

        Args:
            found: what `find` gave; it must still be so.

        Raises:
            ConflictError: it was changed since.
            UserError: it is not allowed, or the API server was away for long.
        """
        metadata = found["metadata"]
        only = {"preconditions": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}}
        with _conflicts(f"delete {self}"):
            try:
                ask(self._custom.delete_namespaced_custom_object, **self._kind, name=self.name, body=only)
            except ApiException as error:
                if error.status != 404:
                    raise

    def pods(self) -> list[Object]:
        """The pods that answer for it, or are to.

        Raises:
            UserError: they may not be listed, or the API server was away for long.
        """
        found = read(
            "list pods", self._core.list_namespaced_pod,
            namespace=self.namespace, label_selector=f"{POD_LABEL}={self.name}",
        )  # fmt: skip
        return found["items"] if found else []


@contextlib.contextmanager
def _conflicts(doing: str) -> Iterator[None]:
    """Tells a conflict from an error that stays."""
    with refusing(doing):
        try:
            yield
        except ApiException as error:
            # A quota's refusal of what would be allowed a moment later has the same code.
            if error.status == 409 and status(error).get("reason") in ("AlreadyExists", "Conflict"):
                raise ConflictError from None
            raise
