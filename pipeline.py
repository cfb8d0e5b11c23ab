"""The pipeline of a model: one Kubeflow pipeline that keeps it fresh, small and cheap.

`python pipeline.py --help` lists the commands; they live in `components/orchestration/`.
"""

from typing import Any

from kfp import dsl
from kfp.dsl import Dataset, Model

from components.compress.component import compress
from components.config import ModelConfig
from components.deploy.component import deploy
from components.evaluate.component import evaluate
from components.finish.component import finish
from components.ingest.component import ingest
from components.orchestration.cluster import Placement
from components.orchestration.command_line import main
from components.orchestration.draw import origin, training_digest
from components.predict.component import predict
from components.preprocess.component import preprocess
from components.rehearse.component import rehearse
from components.resolve.component import resolve
from components.train.component import train
from components.validate.component import validate

WORKFLOW_TTL_S = 24 * 60 * 60
"""How long a cluster keeps the workflow and its pods after a run; the run itself is `components.cleanup.kubeflow`'s."""


def draw(config: ModelConfig, work_default: str, placement: Placement | None = None) -> Any:
    """Draws the pipeline of one model; the configuration is compiled in, as one JSON string for each step.

    Args:
        config: the model.
        work_default: default of the parameter `work_uri`.
        placement: what the tasks get on a cluster; None for a run on this machine.
    """
    model, of = config.name, config.for_step

    @dsl.pipeline(
        name=f"evergreen-{model}",
        description=config.description,
        pipeline_config=dsl.PipelineConfig(
            ttl_seconds_after_finished=WORKFLOW_TTL_S, active_deadline_seconds=config.cluster.run_hours * 60 * 60
        ),
    )
    def evergreen(until: str = "", force: bool = False, work_uri: str = work_default) -> None:
        """Retrains the model when it pays, and puts it into service when it is better.

        Args:
            until: Last day (YYYY-MM-DD) of data to use; empty for all that has arrived.
            force: Retrain even when nothing is new.
            work_uri: Folder, or address such as s3://bucket/prefix, that holds the data, the runs and the model store.
        """
        end = finish(config=of("finish"), name=model, work=work_uri)
        with dsl.ExitHandler(end, name="retraining"):
            data = ingest(config=of("ingest"), name=model, work=work_uri, until=until).output
            known = resolve(config=of("resolve"), snapshot=data, work=work_uri).outputs
            checked = validate(
                config=of("validate"),
                training_digest=training_digest(config),
                force=force,
                snapshot=data,
                serving=known["serving"],
                work=work_uri,
            ).outputs
            with dsl.If(checked["Output"] == "retrain", name="worth-it"):
                # Importers turn folders into artifacts; on a cluster their URIs must be inputs of the DAG around them
                # and URLs: KFP's importer (2.17) fails on a path without a scheme.
                # A cluster's cache key holds the ids of the input artifacts (getFingerPrint in KFP's backend), and an
                # importer that does not reimport gives the id that the same URI had before (findOrNewArtifactToImport).
                # The snapshot's folder is named by its content: the same bytes, renamed or re-dated, are the same
                # folder and hit; one changed byte is another folder and misses. Locally the URI itself is in the key.
                snapshot = dsl.importer(artifact_uri=data, artifact_class=Dataset, reimport=False).output
                base = dsl.importer(artifact_uri=known["base"], artifact_class=Model, reimport=False).output
                # A cluster returns a cached output without looking whether it is still there: an output that is deleted
                # must not be found. So every cached task has the generation among its inputs, and cleanup deletes only
                # what is older than the generation before: no key leads there any more. Locally KFP looks, and makes a
                # deleted output again.
                shared = {"generation": known["generation"], "work": work_uri}
                # The URI of a version is no proof of its content, because a store may be deleted and filled anew.
                start = {"base": base, "base_digest": known["base_digest"], **shared}
                examples = preprocess(config=of("preprocess"), snapshot=snapshot, **start).output
                trained = train(config=of("train"), examples=examples, **start).output
                # Each item is a complete recipe, and the only parameter that tells tasks of the loop apart: one more
                # recipe changes no other's key.
                with dsl.ParallelFor(list(config.compress.recipe_jsons(config.train)), name="each-recipe") as recipe:
                    variant = compress(recipe=recipe, model=trained, examples=examples, **shared).output
                judged = evaluate(
                    config=of("evaluate"),
                    serving=known["serving"],
                    variants=dsl.Collected(variant),
                    examples=examples,
                    work=work_uri,
                ).outputs
                with dsl.If(judged["Output"] == "blessed", name="good-enough"):
                    chosen = judged["chosen"]
                    rehearsed = rehearse(config=of("rehearse"), chosen=chosen, examples=examples, work=work_uri).outputs
                    with dsl.If(rehearsed["Output"] == "fit", name="fit-to-serve"):
                        version = deploy(
                            config=of("deploy"),
                            origin=origin(config),
                            chosen=chosen,
                            model=trained,
                            statistics=checked["statistics"],
                            snapshot=snapshot,
                            recorded=rehearsed["recorded"],
                            base=known["base"],
                            serving=known["serving"],
                            work=work_uri,
                        ).output
                        if config.predict.source is not None:
                            predict(config=of("predict"), version=version, name=model, work=work_uri)
        if placement is not None:
            placement.apply()

    return evergreen


if __name__ == "__main__":
    main(draw)
