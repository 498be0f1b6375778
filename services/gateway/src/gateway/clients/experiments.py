"""Client of the ranker's experiments."""

import math
from itertools import accumulate

from gateway.model.experiment import ExperimentFile, RunningExperiment, drawn_by, layer_of
from sightline.ranker.v1.experiment_service_pb2 import Experiment, ExperimentArm


def experiment_message(value: ExperimentFile) -> Experiment:
    """Return the ranker's message of an experiment's file."""
    message = Experiment(
        name=value.name,
        description=value.description,
        layer=value.layer,
        layer_start=value.layer_part[0],
        layer_end=value.layer_part[1],
        seed=value.seed,
        scenes=value.scenes,
        arms=[ExperimentArm(name=arm.name, share=arm.share, scene=arm.scene) for arm in value.arms],
        metric=value.metric,
        currency=value.currency,
        planned_units=value.planned_units,
    )
    for metric, margin in value.guardrails.items():
        message.guardrails.add(metric=metric, margin=margin)
    message.outcome_window.FromSeconds(value.outcome_hours * 3600)
    message.start_time.FromDatetime(value.start)
    if value.end is not None:
        message.end_time.FromDatetime(value.end)
    return message


def running_of(message: Experiment) -> RunningExperiment:
    """Return an experiment stored by the ranker, in the form used by requests."""
    ends = accumulate(arm.share for arm in message.arms)
    has_end = message.HasField("end_time")
    return RunningExperiment(
        name=message.name,
        scenes=frozenset(message.scenes),
        start_micros=message.start_time.ToMicroseconds(),
        end_micros=message.end_time.ToMicroseconds() if has_end else math.inf,
        layer=layer_of(message.layer),
        part=(message.layer_start, message.layer_end),
        draw=drawn_by(message.name, message.seed),
        arms=tuple(
            (end, arm.scene, (f"{message.name}/{arm.name}",))
            for end, arm in zip(ends, message.arms, strict=True)
        ),
    )
