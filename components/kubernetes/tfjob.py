"""What a TFJob (kubeflow.org/v1) is called, for those who make, watch and delete it."""

from typing import Any

Object = dict[str, Any]
GROUP, VERSION, KIND, PLURAL = "kubeflow.org", "v1", "TFJob", "tfjobs"
CONTAINER = "tensorflow"
"""The operator gives TF_CONFIG to the container of this name."""
OURS = {"app.kubernetes.io/name": "evergreen", "app.kubernetes.io/component": "train"}
"""Labels of every TFJob that Evergreen makes."""
RUN = "evergreen/run"
"""Label: the run that it belongs to."""
