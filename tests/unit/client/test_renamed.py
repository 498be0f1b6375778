"""Public classes that were renamed stay importable by their old names."""

import pytest

import sightline_client
from sightline_client import EvaluationVerdict, ProductOrder, ProductOutcome, SearchResults


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Found", SearchResults),
        ("Order", ProductOrder),
        ("Outcome", ProductOutcome),
        ("Verdict", EvaluationVerdict),
    ],
)
def test_an_old_name_is_the_class_and_says_what_to_use(old: str, new: type) -> None:
    with pytest.warns(DeprecationWarning, match=f"{old} is deprecated: use {new.__name__}"):
        assert getattr(sightline_client, old) is new


def test_any_other_name_is_missing_as_usual() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        getattr(sightline_client, "Nothing")  # noqa: B009 - mypy knows that it is missing
