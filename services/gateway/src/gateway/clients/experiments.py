"""Client of the ranker's experiments."""

import math
from itertools import accumulate

from gateway.model.experiment import ExperimentFile, RunningExperiment, drawn_by, layer_of
from servicekit.rpc.messages import message_of
from sightline.ranker.v1.experiment_service_pb2 import Experiment


def experiment_message(value: ExperimentFile) -> Experiment:
    """Return the ranker's message of an experiment's file."""
    return message_of(
        Experiment,
        value,
        layer_start=value.layer_part[0],
        layer_end=value.layer_part[1],
        start_time=value.start,
        end_time=value.end,
        outcome_window=value.outcome_hours * 3_600_000_000,
        guardrails=[{"metric": name, "margin": most} for name, most in value.guardrails.items()],
    )


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
