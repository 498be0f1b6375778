"""The command line in Chinese and in English."""

import gettext
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import typer
from rich.cells import cell_len
from rich.console import Console, RenderableType
from typer.testing import CliRunner, Result

from sightline_client.cli import app, failures, language
from sightline_client.cli.base import group, wrapping
from sightline_client.cli.language import _
from sightline_client.cli.show import grids, tables
from sightline_client.errors import Failure, make
from sightline_client.files.model import FileRefused

CHINESE = {"LC_ALL": "zh_CN.UTF-8", "LANGUAGE": ""}
SENTENCE = re.compile(r"\b[A-Za-z]+ (?:the|a|an|of|is|are|that|and|with|to|by|in) [a-z]+")
"""Only English has these."""


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CHINESE.items():
        monkeypatch.setenv(name, value)


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env=CHINESE)


def shown(value: RenderableType, width: int = 120) -> str:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(value)
    return captured.get()


def every_command() -> Iterator[tuple[str, ...]]:
    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, each in getattr(command, "commands", {}).items():
            yield from walk(each, (*path, name))

    yield from walk(typer.main.get_command(app), ())


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh"}, "zh"),
        ({"LANG": "zh_CN.GB18030"}, "zh"),
        ({"LANG": "zh_SG"}, "zh"),
        ({"LANG": "zh_Hans_CN"}, "zh"),
        ({"LANG": "zh-Hans"}, "zh"),
        ({"LANG": "zh_TW.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh"),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LC_ALL": "C", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANGUAGE": "zh_CN:en", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LANGUAGE": "de:zh-Hans", "LANG": "de_DE.UTF-8"}, "zh"),
        ({"LANGUAGE": "en:zh_CN", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LANGUAGE": "zh_CN", "LANG": "C.UTF-8"}, "en"),
        ({"LANGUAGE": "zh_CN"}, "en"),
    ],
)
def test_the_environment_chooses_the_language(environment: dict[str, str], expected: str) -> None:
    names = ("LC_ALL", "LC_MESSAGES", "LANG", "LANGUAGE")
    assert language.chosen(*(environment.get(name, "") for name in names)) == expected


@pytest.mark.when("client")
@pytest.mark.slow
@pytest.mark.parametrize("path", list(every_command()), ids=" ".join)
def test_the_help_of_each_command_is_in_chinese(path: tuple[str, ...]) -> None:
    result = call(*path, "--help")
    assert result.exit_code == 0
    described = re.sub(r"^.*\b(sightline|jq) .*$", "", result.output, flags=re.MULTILINE)
    assert "显示本帮助并退出。" in described
    assert not SENTENCE.search(described)
    assert {
        cell_len(line) for line in result.output.splitlines() if line.startswith(("╭", "│", "╰"))
    } == {80}


def test_help_is_whole_again_after_it_was_shown_in_chinese() -> None:
    before = CliRunner().invoke(app, ["similar", "--help"]).output
    assert "查找" in call("similar", "--help").output
    assert CliRunner().invoke(app, ["similar", "--help"]).output == before


def test_english_needs_no_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*arguments: Any, **settings: Any) -> Any:
        raise AssertionError("a catalog was read")

    monkeypatch.setattr(gettext, "translation", read)
    monkeypatch.setenv("LANG", "C.UTF-8")
    result = CliRunner().invoke(app, ["products", "--help"])
    assert "Import, read, change and delete products." in result.output
    assert _("{rows} written to {file}.", rows=3, file="a") == "3 written to a."


def test_a_page_has_the_language_of_its_reader_in_any_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for environment in ("C", "zh_CN.UTF-8"):
        monkeypatch.setenv("LC_ALL", environment)
        before = language.translated()
        with language.speaking("zh"):
            assert language.translated()
            with language.speaking("en"):
                assert not language.translated()
        assert language.translated() is before


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("fr-FR, zh-Hans-CN;q=0.8, en;q=0.9", "en"),
        ("en;q=0.1, zh-CN;q=0.2", "zh"),
        ("zh-TW, zh-Hant", "en"),
        ("*;q=x, zh;q=1.0000", "zh"),
        ("zh;" * 9_999, "zh"),
        ("," * 9_999 + "zh", "en"),
    ],
)
def test_a_browser_says_what_its_user_reads(accepted: str, expected: str) -> None:
    assert language.preferred(accepted) == expected


def test_values_with_braces_are_shown_as_they_are(chinese: None) -> None:
    assert _("{path} has no product", path="{path}") == "{path} 中没有商品"


@pytest.mark.parametrize("reason", failures.FIXES)
def test_an_error_has_its_fix_in_chinese(reason: str, chinese: None) -> None:
    error = make(Failure(code=grpc.StatusCode.INTERNAL, reason=reason, message="why"))
    text = shown(failures.explain(error))
    assert text.startswith(f"{reason}: why")
    assert "解决办法：" in text
    assert not SENTENCE.search(text)


def test_a_file_that_is_refused_has_its_fix(chinese: None) -> None:
    text = shown(failures.explain(FileRefused("a.csv is empty", "write a row")))
    assert text == "FILE_REFUSED: a.csv is empty\n解决办法：write a row\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("similar",), "缺少参数 'PRODUCT'。"),
        (("serch",), "没有命令“serch”。您是否想输入 'search'？"),
        (("products", "gett"), "没有命令“gett”。您是否想输入 'get'？"),
        (("status", "--tmeout", "1"), "没有这个选项：--tmeout（可能的选项：--target, --timeout）"),
        (("status", "--timeout"), "选项“--timeout”需要一个值。"),
        (("status", "--timeout", "x"), "'--timeout' 的值无效：不是数字"),
        (("status", "--timeout", "0"), "'--timeout' 的值无效：小于最小值 0.001"),
        (("status", "--target", "here"), "here 没有端口：请写成 HOST:PORT"),
        (("status", "more"), "多余的参数（more）"),
        (("scenes", "check", "/none"), "'FILE' 的值无效：文件 '/none' 不存在。"),
        (("scenes", "check", "/"), "'FILE' 的值无效：'/' 是文件夹，不是文件。"),
        (("recommend", "--user", "a", "--visitor", "b"), "请给出 --user 或 --visitor"),
        (("events", "purge", "--before", "x"), "'x' 不是时间：请写成"),
    ],
)
def test_wrong_usage_is_explained_in_chinese(arguments: tuple[str, ...], words: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    lines = [line.strip("│ ") for line in result.stderr.splitlines()]
    assert "".join(words.split()) in "".join("".join(lines).split())
    assert "Usage" not in result.stderr


@pytest.mark.parametrize("message", ["Invalid value for '--top': 0", "No such command 'x'."])
def test_wrong_usage_is_unchanged_in_english(message: str) -> None:
    assert group.usage_in_words(message) == message


@pytest.mark.full
def test_what_programs_read_stays_english() -> None:
    result = call("doctor", "--target", "127.0.0.1:1", "--json")
    assert result.exit_code == 1
    (finding,) = json.loads(result.stdout)["findings"]
    assert finding["problem"] == "nothing listens at 127.0.0.1:1"
    assert "没有程序监听 127.0.0.1:1" in call("doctor", "--target", "127.0.0.1:1").stdout


def test_columns_align(chinese: None) -> None:
    names = (_("rank"), _("product"), "MB")
    table = grids.grid(names, [("1", "Origem 葡萄酒", "3"), ("10", "wine", "30")], right=names[2:])
    assert "排名" in shown(table)
    assert len({cell_len(line) for line in shown(table).splitlines() if line.strip()}) == 1


def test_numbers_take_the_measure_word(chinese: None) -> None:
    assert tables.counted(3, "product", "products") == "3 件商品"
    assert tables.counted(1, "row", "rows") == "1 行"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("列出商品。", 8, ["列出商", "品。"]),
        ("用 --top 增大", 8, ["用 --top ", "增大"]),
        ("（默认）", 20, ["（默认）"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("", 8, [""]),
    ],
)
def test_lines_are_broken_between_characters(text: str, width: int, lines: list[str]) -> None:
    ends = [*wrapping.breaks(text, width), len(text)]
    assert [text[a:b] for a, b in zip([0, *ends], ends, strict=False)] == lines


@pytest.mark.full
@pytest.mark.slow
def test_the_installed_command_speaks_chinese(tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name != "LC_ALL"}
        return subprocess.run(
            [str(Path(sys.executable).with_name("sightline")), *arguments],
            env=kept | {"LANG": "zh_CN.UTF-8", "HOME": str(tmp_path)},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    helped = run("products", "import", "--help")
    assert helped.returncode == 0
    for words in ("用法：sightline products import", "选项", "参数", "导入商品", "[默认: "):
        assert words in helped.stdout
    wrong = run("status", "--target", "127.0.0.1:1")
    assert wrong.returncode == 1
    assert "GATEWAY_UNREACHABLE" in wrong.stderr
    assert "解决办法：启动整套服务：`make up`" in wrong.stderr
    assert "错误" in run("nothing").stderr
