"""`python -m components.deploy --work s3://… --model NAME`: takes the cluster to the version that is in service.

For after `python -m components.store rollback` or `promote`, which move the pointer alone. It runs in a pod, as it asks
the server at its address inside of the cluster; the InferenceService is that of the version's own model.yaml.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from components import artifacts
from components.deploy.config import Deploy
from components.deploy.rollout import Rollout
from components.errors import PreemptedError, UserError
from components.model_yaml import parse_yaml
from components.schema import canonical_json, parse
from components.store.rollouts import Rollouts

BY_HAND = "by hand"
"""The run that it is: one that was killed is gone on with."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        return _deploy(options.work, options.model)
    except (UserError, PreemptedError, OSError) as error:
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def _deploy(work: str, model: str) -> int:
    store = Rollouts(work, model)
    version = store.pointed("serving")
    if version is None:
        raise UserError(f"no version of {model} is in service; promote one by `python -m components.store`")
    raw = parse_yaml(version.read(artifacts.MODEL_YAML).decode())
    settings = parse(Deploy, canonical_json(raw.get("deploy") or {})).inference_service
    if settings is None:
        raise UserError(
            f"version {version.number} of {model} was made without deploy.inference_service: its cluster is not known; "
            "set that in model.yaml and deploy another version"
        )
    rollout = Rollout(store, version, settings, BY_HAND)
    rollout.run(version.number)
    print(f"{rollout.describe()} serves version {version.number}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.deploy", description=__doc__.partition(": ")[2])
    parser.add_argument("--work", required=True, help="work directory, s3://bucket/prefix")
    parser.add_argument("--model", required=True, help="the model's name")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    return parser


if __name__ == "__main__":
    sys.exit(main())
