"""How far people's own judgement of a face goes in predicting FER2013's label: a bound on what accuracy can mean.

    python -m benchmarks.annotators [--data DATA] [--json]

The votes of FER+'s ten annotators, as they stand and by a regression from all ten to the label that is fitted on the
training part, on the faces of PublicTest that have votes. The training part is without its copies of test images.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from training.datasets import fer2013
from training.datasets.layout import DatasetError
from training.trainers.emotion_teacher import fit_annotators, vote_features


def measure(data: Path | None) -> dict[str, float]:
    """Shares of PublicTest's faces that are predicted right.

    Raises:
        DatasetError: FER2013 or the votes are not there.
    """
    path = fer2013.find_data(data)
    faces = fer2013.load_fer2013(path)
    training, public = faces.split("Training"), faces.split("PublicTest")
    training = training.where(fer2013.clean_training(training, [public])[0])
    ferplus = fer2013.find_ferplus(None, path)
    seen, asked = (fer2013.load_votes(ferplus, part.rows) for part in (training, public))
    if not seen.any():
        raise DatasetError("no FER+ votes are there: put ferplus*.csv beside the data")
    known, voted = seen.sum(axis=1) > 0, asked.sum(axis=1) > 0
    model = fit_annotators(seen[known], training.labels[known])
    votes, labels = asked[voted], public.labels[voted]
    return {
        "faces": len(labels),
        "majority": round(float(np.mean(votes.argmax(axis=1) == labels)), 4),
        "regression": round(float(np.mean(model.predict(vote_features(votes)) == labels)), 4),
    }


def main(argv: list[str] | None = None) -> int:
    """Print the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="fer2013 file or folder; default: ./data, ../shared/data")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    found = measure(options.data)
    if options.json:
        print(json.dumps(found))
    else:
        print(f"what most annotators say is FER2013's label on {found['majority']:.1%} of {found['faces']} faces")
        print(f"a regression from all their votes predicts it on {found['regression']:.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
