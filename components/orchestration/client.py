"""What submitting and scheduling ask of Kubeflow Pipelines: a pipeline, its versions, its experiment, its runs."""

import json
import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import kfp_server_api

from components.errors import UserError
from components.kubernetes.kubeflow_pipelines import (
    PAGE,
    UNFINISHED,
    ExistsError,
    Object,
    PipelinesApi,
    UnsureError,
)


class Kubeflow:
    """What submitting and scheduling ask of one namespace of a Kubeflow Pipelines."""

    def __init__(self, api: PipelinesApi, namespace: str, ui: str) -> None:
        """Asks nothing yet.

        Args:
            api: the server.
            namespace: empty where the installation has a single user.
            ui: URL that links begin with.
        """
        self.api, self._ui = api, ui.rstrip("/")
        self._of = {"namespace": namespace} if namespace else {}
        self._pipelines = kfp_server_api.PipelineServiceApi(api.client)
        self._uploads = kfp_server_api.PipelineUploadServiceApi(api.client)
        self._experiments = kfp_server_api.ExperimentServiceApi(api.client)
        self._runs = kfp_server_api.RunServiceApi(api.client)

    def link(self, run: str) -> str:
        """Where the UI shows a run."""
        return f"{self._ui}/#/runs/details/{run}"

    def pipeline(self, name: str, description: str) -> str:
        """The id of the pipeline of a name; makes it where there is none.

        Raises:
            UserError: it may not be read or made.
        """

        def find() -> Object | None:
            call = self._pipelines.pipeline_service_get_pipeline_by_name
            return self.api.find("read pipelines", call, name=name, **self._of)

        wanted = {"name": name, "display_name": name, "description": description, **self._of}
        create = self._pipelines.pipeline_service_create_pipeline
        return self._found_or_made(find, "make pipelines", create, "pipeline_id", pipeline=wanted)[0]

    def version(self, pipeline: str, name: str, text: str, description: str) -> tuple[str, bool]:
        """The id of a pipeline's version of a name, and whether it is new; uploads it where there is none.

        A name stands for a content, and no pipeline has two versions of one name: who comes second finds the first's.

        Raises:
            UserError: versions may not be read, or this one is refused.
        """

        def find() -> Object | None:
            call = self._pipelines.pipeline_service_list_pipeline_versions
            page = {"filter": equals("name", name)}
            return next(self.api.pages("list versions", call, "pipeline_versions", page, pipeline_id=pipeline), None)

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "pipeline.yaml")
            file.write_text(text, encoding="utf-8")
            upload = self._uploads.upload_pipeline_version
            return self._found_or_made(
                find, f"take version {name}", upload, "pipeline_version_id",
                uploadfile=str(file), name=name, pipelineid=pipeline, description=description,
            )  # fmt: skip

    def version_name(self, pipeline: str, version: str) -> str | None:
        """The name of a version; None where it is gone."""
        call = self._pipelines.pipeline_service_get_pipeline_version
        found = self.api.find("read versions", call, pipeline_id=pipeline, pipeline_version_id=version)
        return None if found is None else self.api.told(lambda raw: str(raw["name"]), found)

    def find_experiment(self, name: str) -> str | None:
        """The id of the experiment of a name; None where there is none.

        Raises:
            UserError: experiments may not be listed, or this one is archived.
        """
        found = self._experiment(name)
        if found is not None and found.get("storage_state") == "ARCHIVED":
            raise UserError(f"the experiment {name} is archived; restore it in the UI of {self.api.server}")
        return None if found is None else self.api.told(lambda raw: str(raw["experiment_id"]), found)

    def experiment(self, name: str, description: str) -> str:
        """The same, but makes it where there is none.

        Raises:
            UserError: it may not be read or made, or is archived.
        """
        create = self._experiments.experiment_service_create_experiment
        wanted = {"display_name": name, "description": description, **self._of}
        return self.find_experiment(name) or self._found_or_made(
            lambda: self._experiment(name), "make experiments", create, "experiment_id", experiment=wanted
        )[0]  # fmt: skip

    def start(self, wanted: Object) -> str:
        """Starts a run; gives its id.

        Args:
            wanted: a `V2beta1Run`, whose `display_name` no other run of its experiment has.

        Raises:
            UserError: it is refused, or nobody knows whether it was started.
        """
        try:
            raw = self.api.ask_once("start a run", self._runs.run_service_create_run, run=wanted)
        except UnsureError as error:
            page = {"filter": equals("display_name", wanted["display_name"])}
            found = next(self.runs(wanted["experiment_id"], page), None)
            if found is None:
                name = wanted["display_name"]
                raise UserError(f"{error}, once you have looked that run {name} has not come after all") from None
            raw = found
        return self.api.told(lambda found: str(found["run_id"]), raw)

    def run(self, run: str) -> Object:
        """A run, as the server tells it.

        Raises:
            UserError: it may not be read, or is gone.
        """
        return self.api.ask(f"read run {run}", self._runs.run_service_get_run, run_id=run)

    def runs(self, experiment: str, page: Object) -> Iterator[Object]:
        """The runs of an experiment.

        Args:
            experiment: its id.
            page: order and filter.
        """
        return self.api.pages("list runs", self._runs.run_service_list_runs, "runs", page, experiment_id=experiment)

    def newest_runs(self, experiment: str) -> list[Object]:
        """The newest runs of an experiment, the newest first; no more than a page."""
        return list(islice(self.runs(experiment, {"sort_by": "created_at desc"}), PAGE))

    def unfinished_runs(self, experiment: str) -> list[Object]:
        """The runs of an experiment that have not ended."""
        return list(self.runs(experiment, {"filter": UNFINISHED}))

    def _experiment(self, name: str) -> Object | None:
        call, page = self._experiments.experiment_service_list_experiments, {"filter": equals("display_name", name)}
        return next(self.api.pages("list experiments", call, "experiments", page, **self._of), None)

    def _found_or_made(
        self, find: Callable[[], Object | None], doing: str, make: Callable[..., Any], key: str, **arguments: Any
    ) -> tuple[str, bool]:
        """The id of something whose name is unique, and whether it was made."""
        found, is_new = find(), False
        if found is None:
            try:
                found, is_new = self.api.ask(doing, make, **arguments), True
            except ExistsError:  # another was first, or an answer to us was lost
                found = find()
        if found is None:
            raise self.api.no_api()
        return self.api.told(lambda raw: str(raw[key]), found), is_new


def equals(key: str, value: str) -> str:
    """A filter."""
    return json.dumps({"predicates": [{"operation": "EQUALS", "key": key, "string_value": value}]})
