"""State heads: the bytes of a bundle become running heads, or a reason why not.

A bundle is used only if its metadata is well formed, its feature layout is ours, its tasks are the configured ones,
and this machine computes the golden output that the exporting machine recorded. The graph runs in a session of its
own; a new bundle is a new object, and swapping it in is the assignment of one reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime

from perception.bundles import sha256
from perception.emotion import MODEL
from perception.providers import CPU
from sentry_proto.bundle import GOLDEN_TOLERANCE, METADATA_KEY, BundleMetadata
from sentry_proto.errors import LayoutMismatch, MalformedMessage, UnknownTask
from sentry_proto.limits import MAX_BUNDLE_BYTES
from sentry_proto.tasks import Task
from sentry_proto.types import FeatureWindow, Float32, Prediction


class Heads:
    """Running state heads of one model version.

    Args:
        bundle: the bytes of an ONNX bundle, see `sentry_proto.bundle`.
        tasks: what this agent is configured to estimate.
        backbone: digest of the expression model that runs here; None not to compare.

    Raises:
        MalformedMessage: it is no bundle, or does not compute what it says it does.
        LayoutMismatch: it was made for another feature layout or another expression model.
        UnknownTask: it estimates something that is not configured, or in other classes.
    """

    def __init__(self, bundle: bytes, tasks: Sequence[Task], backbone: str | None = None) -> None:
        if len(bundle) > MAX_BUNDLE_BYTES:
            raise MalformedMessage(f"the bundle is {len(bundle)} bytes long, more than {MAX_BUNDLE_BYTES}")
        self._session = _session(bundle)
        try:
            text = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        except UnicodeDecodeError as error:
            raise MalformedMessage(f"the bundle's metadata is no text: {error.reason}") from error
        if text is None:
            raise MalformedMessage("the ONNX file is no Sentry bundle: it has no metadata")
        self.metadata = BundleMetadata.from_json(text)
        _check_backbone(self.metadata.backbone, backbone)
        _check_tasks(self.metadata.tasks, {task.name: task for task in tasks})
        self._outputs = [
            f"{task.name}/{kind}" for task in self.metadata.tasks for kind in ("mean", "entropy", "mutual_information")
        ]
        self._check_graph()
        self._check_golden()

    @property
    def version(self) -> int:
        """The model version."""
        return self.metadata.version

    def score(self, window: FeatureWindow) -> list[Prediction]:
        """What every live task says about a window of finite values; empty if any output is not finite."""
        if not self._outputs:
            return []
        baseline = np.stack([window.baseline.centre, window.baseline.scale])
        outputs = self._run(window.values[None], window.coverage[None], baseline[None])
        if not all(np.isfinite(array).all() for array in outputs.values()):
            return []
        return [self._prediction(task.name, outputs) for task in self.metadata.tasks]

    def _prediction(self, task: str, outputs: Mapping[str, Float32]) -> Prediction:
        mean = outputs[f"{task}/mean"][0].astype(np.float64).clip(0, 1)
        return Prediction(
            task=task,
            probabilities=tuple((mean / mean.sum()).tolist()),
            entropy=float(outputs[f"{task}/entropy"][0]),
            mutual_information=float(outputs[f"{task}/mutual_information"][0]),
        )

    def _run(self, values: Float32, coverage: Float32, baseline: Float32) -> dict[str, Float32]:
        feeds = {"values": values, "coverage": coverage, "baseline": baseline}
        try:
            results = self._session.run(self._outputs, feeds)
        except Exception as error:  # onnxruntime raises its own and plain RuntimeErrors alike
            raise MalformedMessage(f"the bundle's graph does not run: {str(error)[:200]}") from error
        return dict(zip(self._outputs, results, strict=True))

    def _check_graph(self) -> None:
        inputs = {entry.name for entry in self._session.get_inputs()}
        outputs = {entry.name for entry in self._session.get_outputs()}
        if self._outputs and (inputs != {"values", "coverage", "baseline"} or not set(self._outputs) <= outputs):
            raise MalformedMessage("the bundle's graph has other inputs or outputs than its metadata says")

    def _check_golden(self) -> None:
        golden = self.metadata.golden
        if not self._outputs:
            return
        outputs = self._run(golden.values, golden.coverage, golden.baseline)
        for task, expected in golden.means.items():
            mean = outputs[f"{task}/mean"]
            fits = mean.shape == (1, len(expected)) and np.isfinite(mean).all()
            if not fits or np.abs(mean[0] - expected).max() > GOLDEN_TOLERANCE:
                raise MalformedMessage(f"the bundle fails its golden test: {task} is not what the trainer computed")


def _session(bundle: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # the heads are tiny
    options.log_severity_level = 4  # a bad bundle is reported by us
    try:
        return onnxruntime.InferenceSession(bundle, options, providers=[CPU], enable_fallback=0)
    except Exception as error:  # onnxruntime raises its own and plain RuntimeErrors alike
        raise MalformedMessage(f"the bundle is no ONNX graph that runs here: {str(error)[:200]}") from error


def _check_backbone(theirs: str, ours: str | None) -> None:
    made_for = theirs or sha256(MODEL)
    if ours is not None and made_for != ours:
        raise LayoutMismatch(f"the bundle is for expression model {made_for[:12]}; {ours[:12]} runs here")


def _check_tasks(live: Sequence[Task], configured: Mapping[str, Task]) -> None:
    for task in live:
        ours = configured.get(task.name)
        if ours is None:
            raise UnknownTask(f"the bundle estimates {task.name!r}, which is not among the configured tasks")
        if ours.classes != task.classes:
            theirs, mine = ", ".join(task.classes), ", ".join(ours.classes)
            raise UnknownTask(f"the bundle's classes of {task.name} are {theirs}; configured are {mine}")
