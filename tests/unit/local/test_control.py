from pathlib import Path

import pytest

from local_suite.control import SupervisorControl


def test_without_a_supervisor_every_call_is_a_connection_error(tmp_path: Path) -> None:
    control = SupervisorControl(tmp_path / "none.sock", {"ranker": "services"})
    for call in (control.pid, control.states, control.shutdown):
        with pytest.raises(ConnectionError, match=r"none\.sock"):
            call()
    with pytest.raises(ConnectionError):
        control.stop("ranker")
