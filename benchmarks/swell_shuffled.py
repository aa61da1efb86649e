"""Whether the causal baseline alone tells time on SWELL-KW: the same validation with each person's minutes shuffled.

    python -m benchmarks.swell_shuffled --data FILE.csv [--seeds 3]

The features of each person's minutes change places at random, before any baseline is computed; conditions, blocks and
times stay. What is left of a face then says nothing about when or under which condition it was seen, so neutral against
the stressors must land on chance. Where it does not, the way the features were made tells the time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from training.commands.crossval_plan import BOOSTING, CAUSAL, CLASSIFIERS, LOGISTIC, RAW, only
from training.datasets.swellkw import NEUTRAL, load_swell
from training.evaluation.protocols import LeaveOnePersonOut
from training.evaluation.results import Ingredient
from training.evaluation.validation import Study, validate

METRIC = "auroc_per_person"


def shuffled(table: pd.DataFrame, features: Sequence[str], seed: int) -> pd.DataFrame:
    """The table with the features of each person's rows in another order."""
    generator = np.random.default_rng(seed)
    result = table.copy()
    for person in table["PP"].unique():
        own = np.flatnonzero(table["PP"] == person)
        result.loc[result.index[own], features] = table.loc[
            table.index[generator.permutation(own)], features
        ].to_numpy()
    return result


def studies(path: Path) -> Iterator[Study]:
    """Neutral against the stressors from the face, by the two plain models, with and without the causal baseline."""
    for baseline in (CAUSAL, RAW):
        windows = only(load_swell(path, baseline == CAUSAL)[0], "face")
        for model in (LOGISTIC, BOOSTING):
            ingredient = Ingredient(model, "face", baseline)
            yield Study(NEUTRAL, ingredient, windows, CLASSIFIERS[model], LeaveOnePersonOut())


def main() -> int:
    """Print one line per order and ingredient."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    features = list(load_swell(arguments.data)[0].space.features)
    table = pd.read_csv(arguments.data, low_memory=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shuffled.csv"
        for seed in range(arguments.seeds):
            shuffled(table, features, seed).to_csv(path, index=False)
            for result in validate(list(studies(path)), workers=1):
                print(f"order {seed}: {result.ingredient}: {METRIC} {result.metrics[METRIC]}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
