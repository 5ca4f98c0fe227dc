from __future__ import annotations

from pathlib import Path

import pytest
import uvloop

from tests.bench import hit


@pytest.mark.parametrize("stream", [False, True])
def test_cached_answers_are_asked_for(tmp_path: Path, stream: bool) -> None:
    assert uvloop.run(hit.run(tmp_path, 40, clients=4, distinct=8, stream=stream)) > 0
