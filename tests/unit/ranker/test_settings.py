import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ranker.domain.recipe import Recipe
from ranker.domain.signals import Signals
from ranker.settings import RECIPE_KEYS, RankerSettings, RecipeFile, TrainSettings, WorkerSettings
from servicekit.config import load
from tests.waiting import SECONDS

ROOT = Path(__file__).parents[3]


def test_everything_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (RankerSettings, WorkerSettings, TrainSettings):
        assert load(cls).catalogs == ("default",)
    assert load(RankerSettings).port == 8603


def test_server_worker_and_training_read_the_same_record_and_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RANKER_DATABASE_URL", "sqlite:////d/r.db")
    monkeypatch.setenv("RANKER_MODEL_STORE", "file:///d/models")
    monkeypatch.setenv("RANKER_CATALOGS", "a,b")
    for cls in (RankerSettings, WorkerSettings, TrainSettings):
        found = load(cls)
        assert found.database_url.get_secret_value() == "sqlite:////d/r.db"
        assert found.model_store == "file:///d/models"
        assert found.catalogs == ("a", "b")


def recipe(folder: Path, text: str) -> str:
    """Return a file with a recipe."""
    (folder / "recipe.toml").write_text(text)
    return str(folder / "recipe.toml")


def test_a_recipe_is_a_file_and_what_it_leaves_out_has_its_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = 'attribute_keys = ["country", "body"]\nepochs = 3\ntitle_words = true\nablation = false'
    monkeypatch.setenv("RANKER_RECIPE_FILE", recipe(tmp_path, text))
    found = load(TrainSettings)
    expected = Recipe(epochs=3, attribute_keys=("country", "body"), title_words=True)
    assert found.recipe == expected
    assert (found.training["ablation"], found.training["search_trials"]) == (False, 0)


def test_the_file_that_is_shipped_has_every_key_with_its_default() -> None:
    shipped = tomllib.loads((ROOT / "services/ranker/recipe.toml").read_text())
    assert shipped.keys() == RECIPE_KEYS.model_fields.keys()
    assert RECIPE_KEYS(**shipped) == RecipeFile().keys
    assert RecipeFile().recipe(Signals()) == Recipe()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('epochs = 0\nloss = "best"\ncolour = 1', ["(at epochs)", "(at loss)", "(at colour)"]),
        ("epochs =", ["RANKER_RECIPE_FILE: Value error, is not TOML"]),
    ],
)
def test_all_that_is_wrong_with_a_recipe_is_reported_at_once(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    text: str,
    said: list[str],
) -> None:
    monkeypatch.setenv("RANKER_RECIPE_FILE", recipe(tmp_path, text))
    with pytest.raises(SystemExit):
        load(TrainSettings)
    reported = capsys.readouterr().err
    assert [one for one in said if one not in reported] == []


def test_a_recipe_that_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("RANKER_RECIPE_FILE", str(tmp_path / "none.toml"))
    with pytest.raises(SystemExit):
        load(TrainSettings)
    assert "can't be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("cls", [RankerSettings, WorkerSettings, TrainSettings])
def test_server_worker_and_training_read_events_alike(
    cls: type[RankerSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(cls).signals == Signals()
    monkeypatch.setenv("RANKER_SIGNAL_VIEW", "0.2")
    monkeypatch.setenv("RANKER_SIGNAL_HALF_LIFE_DAYS", "0")
    assert load(cls).signals == Signals(view=0.2, half_life_days=0)


@pytest.mark.parametrize("cls", [RankerSettings, WorkerSettings, TrainSettings])
def test_every_setting_is_documented(cls: type[RankerSettings]) -> None:
    assert [name for name, field in cls.model_fields.items() if not field.description] == []


def test_bad_settings_are_all_reported_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANKER_KEEP_MODELS", "0")
    monkeypatch.setenv("RANKER_LEASE_SECONDS", "no")
    with pytest.raises(SystemExit):
        load(TrainSettings)
    reported = capsys.readouterr().err
    assert "RANKER_KEEP_MODELS" in reported
    assert "RANKER_LEASE_SECONDS" in reported


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize("module", ["ranker", "ranker.worker"])
def test_a_process_reports_all_bad_settings_at_once_and_ends_with_2(module: str) -> None:
    bad = {
        "RANKER_DATABASE_URL": "s3cr3t-nonsense",
        "RANKER_MODEL_STORE": "nowhere://models",
        "RANKER_HOST": "",
        "RANKER_CATALOGS": "A B",
    }
    if module == "ranker.worker":
        bad |= {"RANKER_RECIPE_FILE": "nowhere.toml", "RANKER_RETRIEVER_TARGET": ""}
    line = [sys.executable, "-m", module]
    done = subprocess.run(
        line, env=os.environ | bad, capture_output=True, text=True, check=False, timeout=SECONDS
    )
    assert done.returncode == 2
    assert [name for name in bad if f"{name}:" not in done.stderr] == []
    assert "s3cr3t" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "nosuchdb://x/y", ""])
def test_a_record_that_can_not_be_opened_by_this_url_is_refused(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("RANKER_DATABASE_URL", url)
    with pytest.raises(SystemExit):
        load(RankerSettings)


@pytest.mark.parametrize("cls", [RankerSettings, WorkerSettings])
def test_a_log_is_named_by_its_brokers_and_in_production_called_by_tls(
    monkeypatch: pytest.MonkeyPatch, cls: type[RankerSettings], tmp_path: Path
) -> None:
    monkeypatch.setenv("RANKER_KAFKA_BROKERS", "a.example:9092,b.example:9092")
    found = load(cls)
    assert found.kafka_brokers == ("a.example:9092", "b.example:9092")
    problem = "RANKER_KAFKA_BROKERS: a.example:9092 is called in plain text"
    assert [each for each in found.unsafe() if each.startswith(problem)]
    monkeypatch.setenv("RANKER_KAFKA_FOLDER", str(tmp_path))
    assert [each for each in load(cls).unsafe() if "KAFKA" in each] == [
        "events in the topic are not signed: set RANKER_KAFKA_KEYS_FILE"
    ]
    monkeypatch.setenv("RANKER_KAFKA_KEYS_FILE", str(tmp_path / "events.keys"))
    assert not [each for each in load(cls).unsafe() if "KAFKA" in each]


@pytest.mark.parametrize("bad", ["a.example", "kafka://a:9092", "a:9092/events", "u:p@a:9092"])
def test_brokers_are_hosts_with_ports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    monkeypatch.setenv("RANKER_KAFKA_BROKERS", bad)
    with pytest.raises(SystemExit):
        load(RankerSettings)
    assert "RANKER_KAFKA_BROKERS" in capsys.readouterr().err
