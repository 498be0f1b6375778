import pytest

from ranker.settings import RankerSettings, TrainSettings, WorkerSettings
from servicekit.config import load


def test_everything_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (RankerSettings, WorkerSettings, TrainSettings):
        assert load(cls).catalogs == ("default",)
    assert load(RankerSettings).port == 8603


def test_server_worker_and_training_read_the_same_record_and_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RANKER_DATABASE_URL", "sqlite:////d/r.db")
    monkeypatch.setenv("RANKER_MODEL_STORE", "s3://bucket/models")
    monkeypatch.setenv("RANKER_CATALOGS", "a,b")
    for cls in (RankerSettings, WorkerSettings, TrainSettings):
        found = load(cls)
        assert found.database_url == "sqlite:////d/r.db"
        assert found.model_store == "s3://bucket/models"
        assert found.catalogs == ("a", "b")


def test_attributes_to_learn_from_are_given_as_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANKER_TRAIN_ATTRIBUTES", "country,grape,body")
    assert load(TrainSettings).train_attributes == ("country", "grape", "body")


@pytest.mark.parametrize("cls", [RankerSettings, WorkerSettings, TrainSettings])
def test_every_setting_is_documented(cls: type[RankerSettings]) -> None:
    assert [name for name, field in cls.model_fields.items() if not field.description] == []


def test_bad_settings_are_all_told_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANKER_TRAIN_EPOCHS", "0")
    monkeypatch.setenv("RANKER_LEASE_SECONDS", "no")
    with pytest.raises(SystemExit):
        load(TrainSettings)
    told = capsys.readouterr().err
    assert "RANKER_TRAIN_EPOCHS" in told
    assert "RANKER_LEASE_SECONDS" in told
