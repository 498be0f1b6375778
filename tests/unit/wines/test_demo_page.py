"""The page is complete, escapes all content and loads nothing from elsewhere."""

import base64
import io
import re
from datetime import timedelta
from pathlib import Path

from markupsafe import escape
from PIL import Image

from examples.wines import catalogue
from examples.wines.demo import page
from examples.wines.demo.model import Answer, Figures, Scene, Shown
from sightline_client import StageTiming
from sightline_client.convert import from_wire
from tests.fakes import gateway_messages

PHOTO = catalogue.load_wines()[0].image.read_bytes()


def written(tmp_path: Path, title: str = "Barolo") -> str:
    message = gateway_messages.answer()
    message.results[0].product.title = title
    scene = Scene(
        title="1. A photo",
        intro="asked",
        queries=(Shown(PHOTO, "sent"),),
        answers=(Answer("What looks like it", from_wire.recommendations(message)),),
        figures=(Figures("Hits", ("change", "hit@1"), (("crop", "0.98"),), "measured now"),),
        findings=("It came first.",),
    )
    path = tmp_path / "deep" / "demo.html"
    page.write(path, lead=("Four services.",), scenes=[scene], photos={"wine-1": PHOTO})
    return path.read_text(encoding="utf-8")


def test_everything_that_was_shown_is_on_the_page(tmp_path: Path) -> None:
    html = written(tmp_path)
    for text in (
        *("Four services.", "1. A photo", "Barolo", "12.50 EUR", "1.2500", "+0.250", "0.98"),
        *("measured now", "It came first.", "Looks like your photo", "generation g1"),
        *("the ranker did not answer", "Milliseconds by the gateway", "raw score: the sum"),
    ):
        assert text in html, text


def test_the_page_needs_nothing_from_elsewhere_and_runs_nothing(tmp_path: Path) -> None:
    html = written(tmp_path)
    assert f'<meta http-equiv="Content-Security-Policy" content="{escape(page.POLICY)}">' in html
    sources = re.findall(r'(?:src|href|action|data)="([^"]*)"', html)
    assert sources
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"<script|<link|<iframe|@import|url\(|\son\w+=", html)


def test_text_of_a_catalog_is_text_and_no_markup(tmp_path: Path) -> None:
    html = written(tmp_path, title='<script>alert("x")</script>" onload="x')
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert '" onload="' not in html


def test_photos_are_made_small() -> None:
    uri = page.data_uri(PHOTO)
    image = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert image.height == page.HEIGHT


def test_stages_stand_on_one_time_line() -> None:
    ms = timedelta(milliseconds=1)
    bars = page.timing_bars(
        [
            StageTiming("embed", 0 * ms, 25 * ms, None, None),
            StageTiming("rank", 75 * ms, 25 * ms, 5 * ms, 20 * ms),
        ]
    )
    assert [(bar.left, bar.width) for bar in bars] == [(0, 25), (75, 25)]
    assert bars[1].text == "75.0 → 100.0: 25.0 ms (network 5.0, work 20.0)"


def test_parts_of_an_answer_have_one_scale() -> None:
    answer = from_wire.recommendations(gateway_messages.answer())
    bars = page.part_bars(answer.results[0], answer)
    assert [(bar.label, bar.width) for bar in bars] == [
        ("looks like the query, or like the shopper's last products", 100),
        ("fits the products viewed last", 25),
    ]
