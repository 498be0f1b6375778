import inspect

import pytest

from servicekit import errors
from servicekit.errors import BY_CODE, Code, ServiceError


def test_every_code_but_ok_has_an_error() -> None:
    assert set(BY_CODE) == set(Code) - {Code.OK}


def test_every_error_of_the_module_is_the_one_of_its_code() -> None:
    found = {
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, ServiceError) and kind is not ServiceError
    }
    assert found == {BY_CODE[kind.code] for kind in found}
    assert all(BY_CODE[kind.code] is kind for kind in found)


@pytest.mark.parametrize("reason", ["", "A", "lower", "WITH SPACE", "_LED", "TRAILED_", "A" * 64])
def test_a_reason_that_error_info_forbids_is_refused(reason: str) -> None:
    with pytest.raises(ValueError, match="reason"):
        errors.NotFound("gone", reason=reason)


def test_metadata_can_not_change_after_the_fact() -> None:
    given = {"limit": "10"}
    error = errors.ResourceExhausted("full", reason="QUEUE_FULL", metadata=given)
    given["limit"] = "11"
    assert error.metadata["limit"] == "10"
    with pytest.raises(TypeError):
        error.metadata["limit"] = "12"  # type: ignore[index]
