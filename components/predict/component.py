"""KFP signature of predict."""

from components.orchestration.step import uncached_step


@uncached_step
def predict(config: str, version: str, name: str, work: str):
    from components.predict.config import PredictConfig
    from components.predict.predict import predict
    from components.schema import parse

    predict(version, parse(PredictConfig, config), name, work)
