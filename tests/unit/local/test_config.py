from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from local_suite.config import render
from local_suite.model import Layout, Program, layout


def program(name: str, group: str = "services", **changes: object) -> Program:
    given = {
        "command": ("/bin/echo", "two words", "100%", "it's"),
        "folder": Path("/"),
        "healthy": lambda: True,
        "environment": {"URL": "sqlite:////a b/%40.db", "LIST": "a,b"},
    }
    return Program(name=name, group=group, **{**given, **changes})  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    made = layout(tmp_path / "a folder")
    made.make()
    return made


def read(place: Layout, *programs: Program) -> ServerOptions:
    """Return what supervisor itself reads from the rendered configuration."""
    place.config.write_text(render(place, programs))
    options = ServerOptions()
    options.realize(["-c", str(place.config)], doc="")
    return options


def test_supervisor_reads_back_command_environment_and_log(place: Layout) -> None:
    (group,) = read(place, program("embedder")).process_group_configs
    (process,) = group.process_configs
    assert process.command == "/bin/echo 'two words' 100% 'it'\"'\"'s'"
    assert process.environment == {"URL": "sqlite:////a b/%40.db", "LIST": "a,b"}
    assert process.stdout_logfile == str(place.logs / "embedder.log")
    assert process.redirect_stderr
    assert process.stdout_logfile_maxbytes == 10 * 1024 * 1024
    assert process.stdout_logfile_backups == 3


def test_a_process_is_always_started_again(place: Layout) -> None:
    (group,) = read(place, program("embedder")).process_group_configs
    (process,) = group.process_configs
    assert process.autorestart.__name__ == "RestartUnconditionally"
    # Its pauses grow by a second each: this many retries take longer than any machine lives.
    assert process.startretries > 1_000_000


def test_the_edge_stops_first_and_the_engines_last(place: Layout) -> None:
    options = read(
        place, program("gateway", "edge"), program("triton", "engines"), program("ranker")
    )
    order = sorted(options.process_group_configs, key=lambda group: -group.priority)
    assert [group.name for group in order] == ["edge", "services", "engines"]


def test_two_suites_share_no_file(tmp_path: Path) -> None:
    first, second = layout(tmp_path / "one"), layout(tmp_path / "two")
    for place in (first, second):
        place.make()
    texts = [
        {line.partition("=")[2] for line in render(place, [program("x")]).splitlines()}
        for place in (first, second)
    ]
    assert not {value for value in texts[0] & texts[1] if str(tmp_path) in value}


@pytest.mark.parametrize("value", ["a\nb", "a ;b", "a #b", "\"'"])
def test_a_value_that_supervisor_would_cut_is_refused(place: Layout, value: str) -> None:
    with pytest.raises(ValueError, match="pass on"):
        render(place, [program("x", environment={"NAME": value})])
