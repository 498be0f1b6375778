"""A value that can't be read from its message raises an error at the package's import."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pytest

from sightline.common.v1 import answer_pb2, job_pb2, photo_pb2
from sightline.gateway.v1 import recommendation_service_pb2
from sightline_client.convert.reading import reader


@dataclass(frozen=True)
class Edge:
    left: float


@dataclass(frozen=True)
class Whole:
    left: int


@dataclass(frozen=True)
class Absent:
    left: float | None


@dataclass(frozen=True)
class Middle:
    middle: float


@dataclass(frozen=True)
class Guess:
    probability: float


@dataclass(frozen=True)
class Guesses:
    sure: Guess
    guesses: tuple[Guess, ...]


class Known(StrEnum):
    RUNNING = "RUNNING"


@dataclass(frozen=True)
class Job:
    state: Known | None
    done: int


def test_fields_of_the_same_name_are_read_at_any_depth() -> None:
    read = reader(Guesses, photo_pb2.Classification)
    half, quarter = (photo_pb2.CategoryGuess(probability=each) for each in (0.5, 0.25))
    message = photo_pb2.Classification(sure=half, guesses=[half, quarter])
    assert read(message) == Guesses(Guess(0.5), (Guess(0.5), Guess(0.25)))


def test_what_differs_is_given() -> None:
    read = reader(Middle, photo_pb2.Box, middle=lambda box: (box.left + box.right) / 2)
    assert read(photo_pb2.Box(left=0.25, right=0.75)) == Middle(0.5)
    assert reader(Middle, photo_pb2.Box, middle="top")(photo_pb2.Box(top=1)) == Middle(1)


def test_a_name_that_is_not_known_here_is_none_in_a_kind_without_unknown() -> None:
    read = reader(Job, job_pb2.Job)
    assert read(job_pb2.Job(state=job_pb2.Job.STATE_RUNNING)).state is Known.RUNNING
    assert read(job_pb2.Job(state=job_pb2.Job.STATE_FAILED)).state is None


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (Middle, r"sightline\.common\.v1\.Box has no middle"),
        (Whole, r"sightline\.common\.v1\.Box\.left is not of type int"),
        (Absent, r"sightline\.common\.v1\.Box\.left is never None"),
    ],
)
def test_a_field_that_cannot_be_read_is_refused_where_the_reader_is_made(
    kind: type, why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        reader(kind, photo_pb2.Box)


def test_what_is_given_for_no_field_is_refused() -> None:
    with pytest.raises(TypeError, match="Edge has no right"):
        reader(Edge, photo_pb2.Box, right="right")


def test_a_message_within_another_is_read_by_its_own_reader() -> None:
    @dataclass(frozen=True)
    class Version:
        space: str

    @dataclass(frozen=True)
    class Versions:
        spaces: tuple[Version, ...]

    reader(Version, answer_pb2.SpaceVersion, space="version")
    message = answer_pb2.Versions(spaces=[answer_pb2.SpaceVersion(space="a", version="b")])
    (found,) = reader(Versions, answer_pb2.Versions)(message).spaces
    assert found == Version("b")


def test_a_reader_is_of_one_message_alone() -> None:
    @dataclass(frozen=True)
    class Corner:
        x: float

    @dataclass(frozen=True)
    class Corners:
        box: Corner

    reader(Corner, answer_pb2.ScorePart, x="value")
    with pytest.raises(TypeError, match=r"sightline\.common\.v1\.Box has no x"):
        reader(Corners, recommendation_service_pb2.QuerySignal)


def test_pairs_are_read_as_a_mapping() -> None:
    @dataclass(frozen=True)
    class Named:
        results: Mapping[str, str]

    read = reader(Named, job_pb2.Job)
    message = job_pb2.Job(results=[job_pb2.JobResult(name="model_version", value="m1")])
    assert read(message).results == {"model_version": "m1"}
    assert dataclasses.asdict(read(message)) == {"results": {"model_version": "m1"}}


def test_pairs_of_other_types_are_refused_where_the_reader_is_made() -> None:
    @dataclass(frozen=True)
    class Counted:
        results: Mapping[str, int]

    with pytest.raises(TypeError, match=r"sightline\.common\.v1\.Job\.results is not of type"):
        reader(Counted, job_pb2.Job)


def test_a_count_that_is_negative_is_none_where_it_may_be() -> None:
    @dataclass(frozen=True)
    class Done:
        done: int | None

    read = reader(Done, job_pb2.Job)
    assert [read(job_pb2.Job(done=count)).done for count in (-1, 0, 3)] == [None, 0, 3]
