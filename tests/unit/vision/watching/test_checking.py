"""The rules of a watch on measured frames."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline_rules.photo_areas import PhotoArea
from vision.domain.objects import Floats, SeenObject
from vision.domain.watch_json import dumped_state, loaded_state
from vision.domain.watch_state import FrameFacts, WatchState
from vision.domain.watches import (
    SECOND,
    Alert,
    AlertKind,
    Condition,
    CountCondition,
    DetectedCondition,
    Direction,
    Fault,
    FaultCondition,
    PresenceCondition,
    UnusualCondition,
    Watch,
    WatchRegion,
    WatchRule,
    WatchTarget,
)
from vision.watching.checking import MeasuredFrame, References, check_frame, ended

TARGET = WatchTarget(product_id="wine", min_similarity=0.6)
BOX = PhotoArea(0.0, 0.0, 0.5, 0.5)
DIMENSION = 128
BASE = np.random.default_rng(5).standard_normal((2, DIMENSION)).astype(np.float32)
WINE: Floats = BASE[0] / np.linalg.norm(BASE[0])
REFERENCES: References = {TARGET: [WINE]}


def like(similarity: float) -> Floats:
    """Return a vector of this similarity to the wine."""
    other = BASE[1] - (BASE[1] @ WINE) * WINE
    other /= np.linalg.norm(other)
    return np.asarray(similarity * WINE + np.sqrt(1 - similarity**2) * other, np.float32)


def facts(noise: int = 0, bright: float = 0.8, sharpness: float = 0.02) -> FrameFacts:
    cells = 0.5 + 0.001 * np.random.default_rng(noise).standard_normal(192)
    return FrameFacts(tuple(cells.tolist()), bright, sharpness)


def watch(condition: Condition, *regions: str, **timing: int) -> Watch:
    rule = WatchRule("rule", condition, **{"hold": 0, "release": 0, "cool_down": 0} | timing)
    return Watch("shelf", regions=tuple(WatchRegion(x, BOX) for x in regions), rules=(rule,))


class Camera:
    """Frames of a watch, one a second."""

    def __init__(self, of: Watch, references: References = REFERENCES) -> None:
        self.watch, self.references = of, references
        self.state, self.second = WatchState(), 0
        self.alerts: list[Alert] = []
        self.scores: list[float] = []
        self.known: list[bool] = []

    def see(self, *similarities: float, of: FrameFacts | None = None) -> list[AlertKind]:
        """Check a frame whose parts have these similarities to the wine. Return its alerts."""
        vectors = [like(each) for each in similarities]
        return self.see_vectors(*vectors, of=of)

    def see_vectors(self, *vectors: Floats, of: FrameFacts | None = None) -> list[AlertKind]:
        self.second += 1
        parts = dict(zip(self.watch.compared, vectors, strict=False))
        frame = MeasuredFrame(self.second * SECOND, of or facts(self.second), parts, "v1")
        return self.check(frame)

    def see_objects(self, *objects: tuple[float, float]) -> list[AlertKind]:
        """Check a frame with objects of these similarities to the wine, whose middles lie at these
        distances from the left."""
        self.second += 1
        seen = [
            SeenObject(PhotoArea(x - 0.05, 0.1, x + 0.05, 0.4), like(each)) for each, x in objects
        ]
        return self.check(MeasuredFrame(self.second * SECOND, facts(self.second), objects=seen))

    def check(self, frame: MeasuredFrame) -> list[AlertKind]:
        """Check a frame. Return its alerts."""
        checked = check_frame(self.watch, self.state, frame, self.references)
        self.state = loaded_state(dumped_state(checked.state))  # as the record returns it
        self.alerts += checked.alerts
        self.scores.append(checked.readings[0].score)
        self.known.append(checked.readings[0].holds is not None)
        return [alert.kind for alert in checked.alerts]


STARTED, ENDED = [AlertKind.STARTED], [AlertKind.ENDED]


def test_a_product_is_gone_and_back() -> None:
    camera = Camera(watch(PresenceCondition(TARGET, Direction.GONE)))
    assert camera.see(0.9) == []
    assert camera.see(0.2) == STARTED
    assert camera.see(0.2) == []
    assert camera.see(0.9) == ENDED
    start, end = camera.alerts
    assert (start.rule_id, start.product_id, start.frame_micros) == ("rule", "wine", 2 * SECOND)
    assert end.started_alert_id == start.alert_id


def test_a_product_appears_in_any_region() -> None:
    condition = PresenceCondition(TARGET, Direction.APPEARS, ("a", "b"))
    camera = Camera(watch(condition, "a", "b"))
    assert camera.see(0.1, 0.1) == []
    assert camera.see(0.1, 0.8) == STARTED
    assert camera.see(0.1, 0.1) == ENDED
    assert [round(score, 3) for score in camera.scores] == [0.1, 0.8, 0.1]


LEFT, RIGHT = PhotoArea(0.0, 0.0, 0.4, 0.5), PhotoArea(0.5, 0.1, 1.0, 1.0)
BOTH = PhotoArea(0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("condition", "similarities", "about"),
    [
        (PresenceCondition(TARGET, Direction.APPEARS, ("a", "b")), (0.1, 0.8), RIGHT),
        (PresenceCondition(TARGET, Direction.APPEARS, ("a", "b")), (0.8, 0.8), BOTH),
        (PresenceCondition(TARGET, Direction.GONE, ("a", "b")), (0.1, 0.1), BOTH),
        (CountCondition(TARGET, ("a", "b"), 2), (0.1, 0.8), LEFT),
        (CountCondition(TARGET, ("a", "b"), 1), (0.1, 0.1), BOTH),
        (PresenceCondition(TARGET, Direction.APPEARS), (0.8,), None),
        (FaultCondition(Fault.BLACK), (), None),
    ],
)
def test_an_alert_names_the_part_of_the_frame_that_it_is_about(
    condition: Condition, similarities: tuple[float, ...], about: PhotoArea | None
) -> None:
    regions = (WatchRegion("a", LEFT), WatchRegion("b", RIGHT))
    camera = Camera(replace(watch(condition), regions=regions))
    dark = facts(bright=0.0) if isinstance(condition, FaultCondition) else None
    assert camera.see(*similarities, of=dark) == STARTED
    assert camera.alerts[0].box == about


def test_what_was_seen_is_seen_until_it_falls_clearly_below_the_threshold() -> None:
    camera = Camera(watch(PresenceCondition(TARGET, Direction.GONE)))
    assert [camera.see(each) for each in (0.65, 0.58, 0.57, 0.59)] == [[]] * 4
    assert camera.see(0.54) == STARTED
    assert camera.see(0.58) == []
    assert camera.see(0.61) == ENDED


def test_one_deviating_frame_in_three_changes_nothing() -> None:
    camera = Camera(watch(PresenceCondition(TARGET, Direction.GONE), hold=1, release=1))
    for similarity in (0.9, 0.9, 0.1, 0.9, 0.9, 0.2, 0.9):
        assert camera.see(similarity) == []


def test_places_that_show_a_product_are_counted() -> None:
    names = ("a", "b", "c")
    camera = Camera(watch(CountCondition(TARGET, names, below=2), *names))
    assert camera.see(0.9, 0.9, 0.9) == []
    assert camera.see(0.9, 0.1, 0.9) == []
    assert camera.see(0.1, 0.1, 0.9) == STARTED
    assert camera.see(0.9, 0.1, 0.9) == ENDED
    assert camera.scores == [3, 2, 1, 2]


def test_a_product_without_vectors_is_unknown() -> None:
    camera = Camera(watch(PresenceCondition(TARGET, Direction.GONE)), {})
    assert camera.see(0.0) == []
    assert camera.known == [False]


def test_a_black_frame_is_an_alert_and_hides_the_rest() -> None:
    dark = facts(bright=0.02)
    camera = Camera(watch(FaultCondition(Fault.BLACK)))
    assert camera.see() == []
    assert camera.see(of=dark) == STARTED
    assert camera.see() == ENDED
    gone = Camera(watch(PresenceCondition(TARGET, Direction.GONE)))
    gone.see(0.9)
    assert gone.see(0.1, of=dark) == []
    assert gone.known == [True, False]


def test_a_frame_that_comes_again_is_frozen() -> None:
    camera = Camera(watch(FaultCondition(Fault.FROZEN)))
    assert camera.see() == []
    assert camera.see() == []
    same = facts(77)
    assert camera.see(of=same) == []
    assert camera.see(of=same) == STARTED
    assert camera.see() == ENDED


def test_a_frozen_picture_hides_what_happens() -> None:
    camera = Camera(watch(PresenceCondition(TARGET, Direction.GONE), hold=3 * SECOND))
    hand = facts(77)
    camera.see(0.9)
    for _ in range(9):
        assert camera.see(0.1, of=hand) == []
    assert camera.known[2:] == [False] * 8


def test_a_frame_less_sharp_than_before_is_blurred() -> None:
    camera = Camera(watch(FaultCondition(Fault.BLURRED)))
    for _ in range(20):
        assert camera.see() == []
    assert camera.known == [False] * 20
    assert camera.see() == []
    assert camera.see(of=facts(1, sharpness=0.005)) == STARTED
    assert camera.see() == ENDED


def test_a_frame_unlike_those_of_its_hour_is_unusual() -> None:
    noise = np.random.default_rng(9)

    def still() -> Floats:
        vector = WINE + 0.02 * noise.standard_normal(DIMENSION).astype(np.float32)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)

    camera = Camera(watch(UnusualCondition(min_frames=30)))
    for _ in range(200):
        assert camera.see_vectors(still()) == []
    assert camera.known == [False] * 30 + [True] * 170
    assert camera.see(0.8) == STARTED
    assert camera.see_vectors(still()) == ENDED


@pytest.mark.full
@pytest.mark.parametrize("offset", [0, 30, -30])
def test_what_is_usual_in_one_hour_of_the_place_is_unusual_in_the_next(offset: int) -> None:
    noise, minute = np.random.default_rng(9), 60
    closed, opened = (11 * 60 + 50 - offset) * minute, (12 * 60 + 10 - offset) * minute
    of = replace(watch(UnusualCondition(min_frames=150)), utc_offset_minutes=offset)
    camera = Camera(of)

    def at(second: int, similarity: float) -> list[AlertKind]:
        vector = like(similarity) + 0.02 * noise.standard_normal(DIMENSION).astype(np.float32)
        camera.second = max(second, camera.second)
        return camera.see_vectors(np.asarray(vector / np.linalg.norm(vector), np.float32))

    for day in range(1, 6):
        for second, similarity in ((closed, 1.0), (opened, 0.5)):
            for _ in range(50):
                assert at(day * 86_400 + second, similarity) == []
    day = 6 * 86_400
    assert [at(day + closed, each) for each in (1.0, 0.5, 1.0)] == [[], STARTED, ENDED]
    assert [at(day + opened, each) for each in (0.5, 1.0, 0.5)] == [[], STARTED, ENDED]


def test_passers_by_do_not_make_everything_usual() -> None:
    noise = np.random.default_rng(9)
    camera = Camera(watch(UnusualCondition(min_frames=50), hold=SECOND))
    for number in range(300):
        vector = WINE + 0.02 * noise.standard_normal(DIMENSION).astype(np.float32)
        still = np.asarray(vector / np.linalg.norm(vector), np.float32)
        assert camera.see_vectors(like(0.3) if number % 20 == 7 else still) == []
    assert [camera.see(0.7) for _ in range(4)].count(STARTED) == 1


def test_what_is_usual_is_learned_anew_in_another_space() -> None:
    camera = Camera(watch(UnusualCondition(min_frames=20)))
    for _ in range(30):
        camera.see(1.0)
    rule = camera.state.rules["rule"]
    camera.state = replace(camera.state, rules={"rule": replace(rule, usual_version="old")})
    camera.see(1.0)
    assert camera.known[-2:] == [True, False]


def test_a_changed_rule_ends_its_alert() -> None:
    before = watch(PresenceCondition(TARGET, Direction.GONE))
    camera = Camera(before)
    camera.see(0.9)
    camera.see(0.1)
    (start,) = camera.alerts
    assert ended(before, before, camera.state, 9 * SECOND) == ()
    slower = replace(before, rules=(replace(before.rules[0], hold=SECOND),))
    assert ended(before, slower, camera.state, 9 * SECOND) == ()
    after = watch(PresenceCondition(TARGET, Direction.APPEARS))
    (end,) = ended(before, after, camera.state, 9 * SECOND)
    assert (end.kind, end.started_alert_id) == (AlertKind.ENDED, start.alert_id)


def test_the_same_frames_give_the_same_alerts() -> None:
    seen = [0.9, 0.2, 0.9, 0.1]
    first, second = [Camera(watch(PresenceCondition(TARGET, Direction.GONE))) for _ in range(2)]
    for similarity in seen:
        first.see(similarity)
        second.see(similarity)
    assert first.alerts == second.alerts
    assert len({alert.alert_id for alert in first.alerts}) == 3


def test_objects_that_look_like_the_target_are_counted_in_the_whole_frame() -> None:
    camera = Camera(watch(DetectedCondition(TARGET, "", 2)))
    assert camera.see_objects((0.9, 0.2), (0.7, 0.9), (0.3, 0.5)) == []
    assert camera.see_objects((0.9, 0.2), (0.5, 0.9)) == STARTED
    assert camera.see_objects() == []
    assert camera.see_objects((0.9, 0.2), (0.9, 0.4)) == ENDED
    assert camera.scores == [2, 1, 0, 2]
    assert camera.alerts[0].box is None


def test_objects_are_counted_where_their_middle_lies() -> None:
    camera = Camera(watch(DetectedCondition(TARGET, "a", 1), "a"))
    assert camera.see_objects((0.9, 0.48)) == []
    assert camera.see_objects((0.9, 0.52)) == STARTED
    assert camera.alerts[0].box == BOX


def test_without_a_target_all_objects_are_counted() -> None:
    camera = Camera(watch(DetectedCondition(None, "", 3)), {})
    assert camera.see_objects((0.9, 0.1), (0.1, 0.2), (-0.5, 0.3)) == []
    assert camera.see_objects((0.9, 0.1)) == STARTED
    assert camera.alerts[0].product_id == ""


def test_a_frame_without_a_detection_or_a_target_without_vectors_tells_nothing() -> None:
    camera = Camera(watch(DetectedCondition(TARGET, "", 2)))
    assert camera.see() == []
    camera.references = {TARGET: []}
    assert camera.see_objects() == []
    assert camera.known == [False, False]


def test_one_deviating_count_in_three_changes_nothing() -> None:
    camera = Camera(watch(DetectedCondition(None, "", 2), hold=SECOND, release=SECOND))
    for number in (2, 2, 0, 2, 2, 1, 2):
        assert camera.see_objects(*[(0.9, 0.2)] * number) == []
    assert camera.see_objects() == []
    found = [kind for _ in range(3) for kind in camera.see_objects()]
    assert found == STARTED


def test_conditions_of_former_releases_keep_their_key() -> None:
    """Their state, and open alerts, would otherwise be lost with an upgrade."""
    rule = watch(CountCondition(TARGET, ("a",), 1), "a")
    assert rule.condition_key(rule.rules[0]) == "1dd123a1e7f9816387160d5e463988cd"
