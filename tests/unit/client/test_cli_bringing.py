"""``sightline models bring``: what the checker is given, and what is shown of its report."""

import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from sightline_client.cli.work import entry_points, offline_models
from tests.unit.client.command_line import call, flat

REPORT = {
    "name": "net",
    "manifests": ["backbones/net.toml", "backbones/net_features.toml"],
    "model": {
        "image": "pixels",
        "layout": "NCHW",
        "side": 224,
        "vector": "image_embeds",
        "dimension": 512,
    },
    "preprocessing": {
        "crop": 0.875,
        "mean": [127.5] * 3,
        "scale": [127.5] * 3,
        "channels": "RGB",
        "resize": "bilinear",
        "fit": "centre square",
    },
    "notes": ["The authors resize by bilinear; the embedder resizes by bicubic."],
    "parity": {"cosines": {"a.jpg": 0.99871}, "mean": 0.9987},
    "held": {
        "verdict": "BETTER",
        "text": "the nearest photo shows the same product for 60.0% of 40 photos",
        "figures": [
            {
                "name": "1-NN",
                "value": 0.6,
                "low": 0.5,
                "high": 0.7,
                "baseline": 0.4,
                "gain_low": 0.1,
                "gain_high": 0.3,
            }
        ],
        "fitted": None,
        "photos": 40,
        "products": 10,
        "occasions": 33,
        "costs": [
            {"model": "net", "processor_ms": 71.5, "p50_ms": 80.25},
            {"model": "efficientnet_lite0", "processor_ms": 12.5, "p50_ms": 14.0},
        ],
    },
}


class Refused(ValueError):
    """A refusal of the checker."""

    reason = "MODEL_CUSTOM_OPERATOR"


class Checker:
    """An installed package that checks models."""

    def __init__(self, error: ValueError | None = None) -> None:
        self.error = error
        self.options: Any = None
        self.photos: Any = None

    def __call__(self, file: Path, options: Any, photos: Any, *, progress: Any) -> Any:
        progress(1, 1)
        self.options, self.photos = options, photos
        if self.error is not None:
            raise self.error
        return REPORT


@pytest.fixture
def checker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Checker:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(b"onnx")
    made = Checker()
    monkeypatch.setattr(offline_models, "checker", lambda: made)
    return made


NAMED = ("net.onnx", "--name", "net", "--licence", "MIT", "--trained-on", "ours")


def test_the_report_and_the_commands_of_the_roll_out_are_shown(checker: Checker) -> None:
    result = call("models", "bring", *NAMED, "--mean", "0.5", "--std", "1,2,3")
    assert result.exit_code == 0, result.output
    printed = flat(result.stdout)
    for words in (
        "image_embeds, 512",
        "embedder resizes by bicubic",
        "a.jpg 0.9987",
        "BETTER: the nearest photo",
        "1-NN 0.600 0.500 to 0.700 0.400 +0.200 (+0.100 to +0.300)",
        "processor ms 71.5 12.5",
        "taken on 33 occasions",
        "triton_engine.build --pin",
        "make up MODELS=efficientnet_lite0,net",
        "sightline index upgrade --version net",
        "sightline index rollback",
        "sightline spaces fit --backbone net",
    ):
        assert words in printed, words
    assert checker.options["mean"] == (0.5, 0.5, 0.5)
    assert checker.options["std"] == (1, 2, 3)
    assert json.loads(call("models", "bring", *NAMED, "--json").stdout) == REPORT


def test_a_folder_and_a_table_give_the_same_photos(checker: Checker) -> None:
    for product in ("apple", "pear"):
        Path("shop", product).mkdir(parents=True)
        Path("shop", product, "1.jpg").write_bytes(b"jpeg")
    Path("shop", "notes.txt").write_text("none")
    assert call("models", "bring", *NAMED, "--photos", "shop").exit_code == 0
    of_folder = checker.photos
    assert [each["product"] for each in of_folder] == ["apple", "pear"]
    rows = "photo,product,upload\nshop/apple/1.jpg,apple,\nshop/pear/1.jpg,pear,7\n"
    Path("shop.csv").write_text(rows)
    assert call("models", "bring", *NAMED, "--photos", "shop.csv").exit_code == 0
    assert checker.photos == [of_folder[0], {**of_folder[1], "upload": "7"}]


@pytest.mark.parametrize("row", ["gone.jpg,apple", "net.onnx,", ",apple"])
def test_a_row_without_photo_or_product_ends_it(checker: Checker, row: str) -> None:
    Path("shop.csv").write_text(f"photo,product\n{row}\n")
    result = call("models", "bring", *NAMED, "--photos", "shop.csv")
    assert result.exit_code == 1
    assert "row 1" in flat(result.stderr)
    assert checker.photos is None


def test_a_refusal_is_shown_with_its_reason(checker: Checker) -> None:
    checker.error = Refused("the file has operators of com.example: export it again")
    result = call("models", "bring", *NAMED)
    assert result.exit_code == 1
    assert "MODEL_CUSTOM_OPERATOR" in result.stderr
    assert "export it again" in flat(result.stderr)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--mean", "1,2"),
        ("--mean", "red"),
        ("--channels", "GBR"),
        ("--pool", "max"),
        ("--layout", "CHWN"),
        ("--reference", "net.onnx"),
    ],
)
def test_wrong_options_are_rejected(checker: Checker, wrong: tuple[str, ...]) -> None:
    assert call("models", "bring", *NAMED, *wrong).exit_code == 2
    assert checker.options is None


@pytest.mark.parametrize(
    "points", [[], [EntryPoint("none", "no.such.module:it", offline_models.GROUP)]]
)
def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, points: list[EntryPoint]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(b"onnx")
    monkeypatch.setattr(entry_points, "entry_points", lambda group: points)
    result = call("models", "bring", *NAMED)
    assert result.exit_code == 1
    assert "make setup" in flat(result.stderr)
