"""Configurations refuse impossible values, by name, and survive a trip through JSON."""

import dataclasses
import json

import pytest

from lmcore.config import TrainConfig


@pytest.mark.parametrize(
    "fields",
    [
        {"batch_size": 0},
        {"batch_size": 2.0},
        {"max_steps": True},
        {"lr": 0},
        {"lr": float("nan")},
        {"min_lr": 1.0},
        {"warmup_steps": 2000},
        {"weight_decay": -1},
        {"betas": (0.9, 1.0)},
        {"betas": (0.9,)},
        {"seed": -1},
    ],
)
def test_each_bad_value_is_named(fields):
    (name, value), *_ = fields.items()
    with pytest.raises(ValueError) as error:
        TrainConfig(**fields)
    assert str(error.value).startswith(f"{name}={value!r}: must ")


def test_frozen_and_replaced_with_a_check():
    config = TrainConfig(lr=1e-2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.lr = 1
    assert config.replace(lr=0.5).lr == 0.5 and config.lr == 1e-2
    with pytest.raises(ValueError, match="lr=-1"):
        config.replace(lr=-1)


def test_json_round_trip_and_unknown_keys():
    config = TrainConfig(betas=(0.9, 0.95), seed=3)
    fields = json.loads(json.dumps(config.to_dict()))
    assert TrainConfig.from_dict(fields) == config
    with pytest.raises(ValueError, match="learning_rate=1: must be one of"):
        TrainConfig.from_dict({"learning_rate": 1})
