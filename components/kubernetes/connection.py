"""Finds the cluster that there is to talk to."""

import os
from pathlib import Path

from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException

from components.kubernetes.api import Cluster

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class NoClusterError(Exception):
    """This is no pod of a cluster, and there is no kubeconfig either; why."""


def connect(namespace: str | None = None) -> Cluster:
    """The cluster that this pod runs in; elsewhere the one of the kubeconfig.

    Args:
        namespace: None for the pod's own, or the kubeconfig's.

    Raises:
        NoClusterError: there is neither.
    """
    settings = client.Configuration()
    try:
        try:
            config.load_incluster_config(settings)
            own = NAMESPACE_FILE.read_text(encoding="utf-8").strip()
        except ConfigException:
            config.load_kube_config(os.environ.get("KUBECONFIG"), client_configuration=settings)
            context = config.list_kube_config_contexts(os.environ.get("KUBECONFIG"))[1]["context"]
            own = context.get("namespace", "default")
    except (ConfigException, OSError) as error:
        raise NoClusterError(f"this is no pod of a cluster ({error})") from None
    # A host name is cut at 63 characters, which pods of KFP exceed; KFP tells the whole name.
    pod = os.environ.get("KFP_POD_NAME") or os.environ.get("HOSTNAME", "")
    return Cluster(client.ApiClient(settings), namespace or own, pod)
