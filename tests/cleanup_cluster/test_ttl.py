"""Workflow objects go by themselves."""

from pathlib import Path

import yaml
from kfp import compiler

import pipeline
from components.config import load

ROOT = Path(__file__).parents[2]


def test_the_compiled_pipeline_tells_the_cluster_when_its_workflow_may_go(tmp_path: Path) -> None:
    drawn = pipeline.draw(load(ROOT / "models" / "flights"), "s3://bucket/evergreen")
    compiler.Compiler().compile(drawn, str(tmp_path / "pipeline.yaml"))
    _, platform = yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text())
    assert platform["platforms"]["kubernetes"]["pipelineConfig"]["resourceTtlOnCompletion"] == 86_400
