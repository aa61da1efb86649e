from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.annotators import measure


@pytest.mark.shared
@pytest.mark.slow
def test_people_agree_with_the_labels_on_two_thirds(shared_dir: Path) -> None:
    found = measure(shared_dir / "data")
    assert 3_500 < found["faces"] <= 3_589
    assert 0.6 < found["majority"] < found["regression"] < 0.7
