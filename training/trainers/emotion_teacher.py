"""Soft targets: what other expression models, and the annotators of FER+, say about the training faces."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from training.evaluation.expression import open_model

BATCH = 256


def teacher_shares(teachers: Sequence[Path], images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Mean class probabilities of several models on each face and on its mirror image (Hinton et al. 2015).

    Args:
        teachers: ONNX files with the graph contract of `training.export.expression`, of any architecture.
        images: uint8 [n, h, w].

    Returns:
        float32 [n, 7].

    Raises:
        ModelError: a file is not an expression model.
    """
    total = np.zeros((len(images), 7), np.float32)
    for path in teachers:
        session = open_model(path)
        for start in range(0, len(images), BATCH):
            faces = images[start : start + BATCH]
            for view in (faces, faces[:, :, ::-1]):
                total[start : start + BATCH] += session.run(["probabilities"], {"faces": view.copy()})[0]
    total /= 2 * len(teachers)
    return total


def annotator_shares(votes: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """How often faces with such votes have each of FER2013's labels, by multinomial logistic regression.

    The two disagree by rule, not only by chance: what most annotators call neutral, FER2013 often calls sad.

    Args:
        votes: float32 [n, 7], vote shares; zeros where unknown.
        labels: int64 [n].

    Returns:
        float32 [n, 7]; the label itself where there are no votes.
    """
    shares = np.eye(7, dtype=np.float32)[labels]
    known = votes.sum(axis=1) > 0
    model = fit_annotators(votes[known], labels[known])
    shares[known] = 0
    shares[np.ix_(known, model.classes_)] = model.predict_proba(vote_features(votes[known]))
    return shares


def fit_annotators(votes: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> LogisticRegression:
    """A regression from `vote_features` to FER2013's label; `votes` float32 [n, 7] of faces that have some."""
    return LogisticRegression(C=10.0, max_iter=1000).fit(vote_features(votes), labels)


def vote_features(votes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Vote shares and their roots, float32 [n, 14]: the root gives one vote of ten its weight beside nine."""
    return np.hstack([votes, np.sqrt(votes)])


def describe_teacher(path: Path) -> dict[str, str]:
    """What a model card says of a teacher: file, digest, and what its own file says of network and start weights.

    Raises:
        ModelError: the file is not an expression model.
    """
    said = open_model(path).get_modelmeta().custom_metadata_map
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "network": said.get("network", "unknown"),
        "start": said.get("start", "unknown"),
    }
