"""The section `deploy` of model.yaml."""

import re
from pathlib import Path

import pytest

from components.config import load
from components.deploy.config import Deploy
from components.errors import UserError
from components.orchestration.draw import training_digest
from components.schema import parse

FLIGHTS = Path(__file__).parents[2] / "models" / "flights"


def test_on_this_machine_there_is_no_inference_service() -> None:
    assert parse(Deploy, "{}").inference_service is None


def test_an_empty_section_has_sane_defaults() -> None:
    settings = parse(Deploy, '{"inference_service": {}}').inference_service
    assert settings is not None
    assert (settings.runtime, settings.wait_minutes, settings.name) == ("evergreen", 15, None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"inference_service": {"nam": "x"}}', "inference_service.nam is not a known key; did you mean name?"),
        ('{"inference_service": {"name": "Flights"}}', 'inference_service.name is "Flights"; it must match'),
        (
            '{"inference_service": {"wait_minutes": 0}}',
            "inference_service.wait_minutes is 0; it must be greater than 0",
        ),
        ('{"inference_service": {"memory": "1 GB"}}', 'inference_service.memory is "1 GB"; it must match'),
        (
            '{"inference_service": {"min_replicas": 3, "max_replicas": 2}}',
            "min_replicas is 3, but max_replicas is 2; raise max_replicas",
        ),
        (
            '{"pointer": "candidate", "inference_service": {}}',
            "inference_service needs pointer serving, because a candidate answers for nothing yet; remove one",
        ),
    ],
)
def test_wrong_settings_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        parse(Deploy, text)


def test_where_a_model_serves_makes_no_other_model() -> None:
    plain, changed = (load(FLIGHTS, more) for more in ((), ("deploy.inference_service={max_replicas: 7}",)))
    assert training_digest(changed) == training_digest(plain)
    assert training_digest(load(FLIGHTS, ("deploy.pointer=candidate",))) != training_digest(plain)
