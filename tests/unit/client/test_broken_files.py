"""Files that commands read: a broken one is named, whatever is wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from sightline_client.cli.base import access_token, query, running
from sightline_client.cli.commands import synonyms, watch
from sightline_client.cli.work import keys, local_suite, remembered
from sightline_client.files import audit, shelf_plans
from sightline_client.files.model import FileRefused
from sightline_client.files.opening import look
from sightline_client.transport.tls import tls_credentials
from sightline_client.values.photos import product_image
from tests.broken_files import GONE, WAYS

PLAN = {"products": [{"productId": "w1", "facings": 2}]}
READERS: dict[str, Callable[[Path], Any]] = {
    "token": lambda path: access_token.of(None, path),
    "photo.jpg": lambda path: query.content(path, "--image"),
    "product.jpg": product_image,
    "scene.toml": lambda path: running.guarded(lambda: query.text(path)),
    "synonyms.txt": synonyms._lines,
    "watch.json": lambda path: running.guarded(lambda: watch._read(path)),
    "plan.json": shelf_plans.read,
    "plan.csv": shelf_plans.read,
    "keys.toml": lambda path: keys.append(path, "b", '[[keys]]\nname = "b"\n'),
    "audit.jsonl": audit.verify,
    "ca.crt": lambda path: tls_credentials(ca=path),
    "tls.crt": lambda path: tls_credentials(cert=path, key=path),
    **{
        f"rows.{kind}": lambda path: look(path, ("id", "title"))
        for kind in ("csv", "jsonl", "parquet", "xlsx", "xml")
    },
}
GOOD = {"plan.json": json.dumps(PLAN), "keys.toml": '[[keys]]\nname = "a"\n'}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", READERS)
def test_a_broken_file_is_named_and_no_traceback_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, way: str
) -> None:
    """It may still be one, such as a photo that the suite rejects or a file without rows."""
    path = tmp_path / name
    path.write_text(GOOD.get(name, "id,title\n1,red\n"))
    WAYS[way](path)
    told = ""
    try:
        READERS[name](path)
    except typer.Exit:
        told = capsys.readouterr().err.replace("\n", "")
    except typer.BadParameter as error:
        told = error.format_message()
    except UnicodeError:
        raise
    except (FileRefused, ValueError, OSError) as error:
        told = str(error)
    else:
        assert way not in GONE or name == "keys.toml", "a new one is written"
        return
    assert name in told


@pytest.mark.parametrize("way", WAYS)
def test_what_a_command_remembers_is_written_anew_if_it_is_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(typer, "get_app_dir", lambda name: str(tmp_path))
    path = tmp_path / "columns.json"
    remembered._write("a", {"columns": {"x": "id"}, "constants": {}})
    WAYS[way](path)
    names = ("x",)
    assert not remembered.recall(names, "here").map
    kept = {"columns": {"x": "id"}, "constants": {}, "scope": "here"}
    remembered._write(remembered._key(names, "here"), kept)
    assert bool(remembered.recall(names, "here").map) == (way != "unreadable")
    run = tmp_path / "run"
    run.mkdir()
    (run / "suite.json").write_text("{}")
    WAYS[way](run / "suite.json")
    assert local_suite.suite("127.0.0.1:8080", {"DATA": str(tmp_path)}) is None
