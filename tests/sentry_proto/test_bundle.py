from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sentry_proto.bundle import BundleMetadata, Golden
from sentry_proto.errors import LayoutMismatch, MalformedMessage
from sentry_proto.layout import N_MODALITIES, N_SECOND
from sentry_proto.tasks import STRESS


def metadata() -> BundleMetadata:
    golden = Golden(
        values=np.ones((1, 30, N_SECOND), np.float32),
        coverage=np.ones((1, 30, N_MODALITIES), np.float32),
        baseline=np.ones((1, 2, N_SECOND), np.float32),
        means={"stress": np.array([0.2, 0.3, 0.5], np.float32)},
    )
    return BundleMetadata(
        3, 2, 1.0, (STRESS,), {"focus": "too few labels"}, {"stress": 1.5}, {"stress": {"n": 9}}, golden
    )


def test_metadata_survives_json() -> None:
    again = BundleMetadata.from_json(metadata().to_json())
    assert again.tasks == (STRESS,)
    assert (again.version, again.parent, again.abstaining) == (3, 2, {"focus": "too few labels"})
    np.testing.assert_array_equal(again.golden.means["stress"], metadata().golden.means["stress"])
    assert again.golden.values.shape == (1, 30, N_SECOND)


def drop(key: str) -> Callable[[dict[str, Any]], object]:
    return lambda raw: raw.pop(key)


DAMAGES: dict[str, tuple[Callable[[dict[str, Any]], object], type[Exception]]] = {
    "no golden": (drop("golden"), MalformedMessage),
    "no version": (drop("version"), MalformedMessage),
    "version 0": (lambda raw: raw.update(version=0), MalformedMessage),
    "a list of numbers for tasks": (lambda raw: raw.update(tasks=[1, 2]), MalformedMessage),
    "another format": (lambda raw: raw.update(format=9), MalformedMessage),
    "another layout": (lambda raw: raw.update(layout_id="x"), LayoutMismatch),
    "golden mean of another task": (lambda raw: raw["golden"].update(means={}), MalformedMessage),
    "golden that is no base64": (lambda raw: raw["golden"].update(values="!"), MalformedMessage),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damaged_metadata_is_refused(case: str) -> None:
    damage, error = DAMAGES[case]
    raw = json.loads(metadata().to_json())
    damage(raw)
    with pytest.raises(error):
        BundleMetadata.from_json(json.dumps(raw))


def test_a_bundle_from_before_the_expression_model_was_written_down_is_read() -> None:
    raw = json.loads(metadata().to_json())
    del raw["backbone"]
    assert BundleMetadata.from_json(json.dumps(raw)).backbone == ""
