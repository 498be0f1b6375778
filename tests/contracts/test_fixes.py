"""Every line of advice is followed by a test (tests/advice.py)."""

import re

from sightline_client.cli import failures
from tests import advice

LINES = {
    **failures.FIXES,
    **{code.name: text for code, text in failures.FIXES_BY_CODE.items()},
}


def test_every_fix_is_followed_or_it_says_why_not() -> None:
    followed = [each.reason for each in advice.FOLLOWED]
    assert len(followed) == len(set(followed)) >= 12
    assert set(followed) | set(advice.ELSEWHERE) == set(LINES)
    assert not set(followed) & set(advice.ELSEWHERE)


def test_every_command_that_a_fix_names_is_typed_by_its_test() -> None:
    for each in advice.FOLLOWED:
        typed = {f"sightline {words.replace('$version', 'VERSION')}" for words in each.typed}
        missing = [
            command
            for command in advice.commands(LINES[each.reason])
            if not any(line.startswith(command) for line in typed)
        ]
        assert not missing, f"{each.reason}: nobody types {missing}"


def test_every_command_that_the_code_names_is_in_the_table() -> None:
    in_fixes = {command for text in LINES.values() for command in advice.commands(text)}
    others = advice.advised() - in_fixes
    assert len(others) > 10
    assert others <= set(advice.TYPED_ELSEWHERE), others - set(advice.TYPED_ELSEWHERE)
    assert set(advice.TYPED_ELSEWHERE) <= advice.advised(), "no longer named anywhere"


def test_the_tests_that_the_table_names_are_there() -> None:
    for text in [*advice.ELSEWHERE.values(), *advice.TYPED_ELSEWHERE.values()]:
        for path in re.findall(r"tests/\S+\.py", text):
            assert (advice.ROOT / path).is_file(), path
