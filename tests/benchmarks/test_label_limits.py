"""What limits a rare state, on a stream in which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.label_limits import render, run
from benchmarks.label_streams import Stream, rare_state


def faces(seed: int) -> Stream:
    """Random embeddings in which the states lie apart."""
    generator = np.random.default_rng(7)
    labels = np.repeat(np.arange(7), 80)
    embeddings = (generator.normal(size=(len(labels), 40)) + 3 * np.eye(40)[labels]).astype(np.float32)
    return rare_state(embeddings, labels, seed)


@pytest.mark.slow
def test_labels_that_show_the_state_are_what_counts() -> None:
    means = run(faces, [0])
    shown = {name: values[0] for name, values in means.items()}
    assert shown["5 with, 20 without"] == 5
    assert means["10 with, 80 without"][1] > means["2 with, 80 without"][1]
    assert all(best >= decided - 1e-9 for _, decided, best, _ in means.values())
    assert render(means).count("\n") == len(means)
