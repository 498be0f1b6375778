"""Figures say whether they describe the service or the sender."""

from pathlib import Path

import pytest

from bench.open_load.__main__ import _parser, _where, read
from bench.open_load.findings import LoadFindings
from bench.open_load.schedule import Curve, curve
from bench.open_load.sending import UNSENT, Sent, questions
from sightline_client.convert import requests

ROOT = Path(__file__).parents[4]
PAGE = (ROOT / "docs" / "operate" / "load.md").read_text(encoding="utf-8")
SHOWN = [
    line.removeprefix("python -m bench.open_load ")
    for line in PAGE.splitlines()
    if line.startswith("python -m bench.open_load ")
]
ONE = Curve([(0, 100), (10, 100)])


def sent(*ends: tuple[str, float, float]) -> Sent:
    """Return outcomes with their seconds, and how late they were sent."""
    made = Sent()
    for number, (end, seconds, late) in enumerate(ends):
        made.add(number / 100, late, seconds, end)
    return made


def test_percentiles_are_of_what_was_answered() -> None:
    some = [("whole", 0.010, 0.0)] * 98 + [("degraded", 0.5, 0.0), ("UNAVAILABLE", 9.0, 0.0)]
    found = LoadFindings(ONE, sent(*some))
    assert found.milliseconds()["p50"] == 10.0
    assert found.milliseconds()["max"] == 500.0
    assert found.ends == {"whole": 98, "degraded": 1, "UNAVAILABLE": 1}
    assert found.kept
    assert "The rate was kept" in found.verdict()
    slices = found.figures()["over_time"]
    assert isinstance(slices, list)
    assert slices[-1]["whole_share"] < slices[0]["whole_share"] == 1.0


@pytest.mark.parametrize(("end", "late"), [("whole", 0.5), (UNSENT, 0.0)])
def test_a_sender_that_was_late_does_not_speak_of_the_service(end: str, late: float) -> None:
    found = LoadFindings(ONE, sent(*[("whole", 0.01, 0.0)] * 98, *[(end, 0.6, late)] * 2))
    assert found.late_share == 0.02
    assert not found.kept
    assert "THE RATE WAS NOT KEPT: 2.00%" in found.verdict()


def test_no_answer_has_no_percentiles() -> None:
    assert LoadFindings(ONE, sent(("UNAVAILABLE", 1.0, 0.0))).milliseconds() == {}


def test_jpegs_are_never_the_same_twice_and_other_photos_stay() -> None:
    jpeg, png = b"\xff\xd8\xff\xe0rest", b"\x89PNG"
    given = [requests.recommend(catalog="default", images=[jpeg, png])]
    asked = questions(given, 1, fresh=True)
    one, other = next(asked), next(asked)
    assert one.signals[0].image != other.signals[0].image
    assert one.signals[0].image.startswith(b"\xff\xd8\xff\xfe\x00\x16")
    assert one.signals[0].image.endswith(b"\xff\xe0rest")
    assert one.signals[1].image == png
    assert given[0].signals[0].image == jpeg
    assert next(questions(given, 1, fresh=False)) is given[0]


def test_a_file_of_requests_is_read_with_its_photos(tmp_path: Path) -> None:
    (tmp_path / "shelf.jpg").write_bytes(b"\xff\xd8")
    file = tmp_path / "requests.jsonl"
    file.write_text('{"image": "shelf.jpg", "top": 3}\n\n{"user": "u-1"}\n')
    photo, user = read(file, "shoes", 10)
    assert (photo.signals[0].image, photo.page_size) == (b"\xff\xd8", 3)
    assert (user.catalog_id, user.page_size, user.shopper.user_id) == ("shoes", 10, "u-1")


@pytest.mark.parametrize("line", ["", '{"colour": "red"}', "[1]", "kettle", '{"image": "no.jpg"}'])
def test_a_file_that_can_t_be_asked_names_its_line(tmp_path: Path, line: str) -> None:
    file = tmp_path / "requests.jsonl"
    file.write_text(f"{line}\n")
    with pytest.raises(ValueError, match=r"line 1:|contains no request"):
        read(file, "default", 10)


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_of_the_page_is_one(line: str) -> None:
    given = _parser().parse_args(line.split())
    assert curve(given.rate, given.seconds).seconds > 0


def test_the_page_shows_commands_and_its_lines_are_requests(tmp_path: Path) -> None:
    assert len(SHOWN) == 3
    block = PAGE.split("```json\n")[1].split("```")[0]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "shelf.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "requests.jsonl").write_text(block)
    assert len(read(tmp_path / "requests.jsonl", "default", 10)) == 4


def test_half_a_certificate_is_refused() -> None:
    given = _parser().parse_args(["x", "--rate", "1", "--seconds", "1", "--cert", "tls.crt"])
    with pytest.raises(ValueError, match="require each other"):
        _where(given)
