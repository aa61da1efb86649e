"""What plain models see: bins that change no tree, and standardised columns as scikit-learn makes them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.trainers.columns import BINS, Binned, Standardised, varying

ROWS = 500


def drawn(seed: int, gaps: float = 0.2) -> NDArray[np.float32]:
    """Columns with many values, few, and many that repeat, all with gaps, and one of zeros; [ROWS, 4]."""
    generator = np.random.default_rng(seed)
    many = generator.normal(size=ROWS)
    repeated = np.where(generator.random(ROWS) < 0.4, 0.5, generator.exponential(size=ROWS))
    columns = np.stack([many, np.round(many), repeated], 1)
    columns[generator.random(columns.shape) < gaps] = np.nan
    return np.concatenate([columns, np.zeros((ROWS, 1))], 1).astype(np.float32)


@pytest.mark.parametrize("weighted", [True, False])
def test_binned_columns_grow_the_same_trees(weighted: bool) -> None:
    columns, others = drawn(0), drawn(1)
    generator = np.random.default_rng(2)
    labels = np.nan_to_num(columns[:, 0]) * np.nan_to_num(columns[:, 2]) + generator.normal(size=ROWS) > 0
    weights = generator.uniform(0.2, 3, ROWS) if weighted else np.ones(ROWS)
    bins = Binned.of(columns, weights)
    direct, binned = (HistGradientBoostingClassifier(max_iter=20, max_leaf_nodes=8) for _ in range(2))
    direct.fit(columns, labels, sample_weight=weights)
    binned.fit(bins(columns), labels, sample_weight=weights)
    np.testing.assert_array_equal(direct.predict_proba(others), binned.predict_proba(bins(others)))


def test_bins_are_as_many_as_trees_take_and_hold_about_the_same_weight() -> None:
    values = np.random.default_rng(0).normal(size=(20_000, 1))
    weights = np.where(values[:, 0] > 0, 3.0, 1.0)
    found = Binned.of(values, weights)(values)[:, 0].astype(int)
    held = np.bincount(found, weights)
    assert len(held) == BINS
    assert held.max() < 1.1 * held.mean()


def test_standardised_columns_are_those_of_scikit_learn() -> None:
    columns, others = drawn(0), drawn(1)
    shown = Standardised.of(columns)
    theirs = make_pipeline(SimpleImputer(), StandardScaler()).fit(columns[:, shown.kept])
    assert shown.kept.tolist() == [0, 1, 2]
    np.testing.assert_allclose(shown(others), theirs.transform(others[:, shown.kept]), atol=1e-5)
    assert shown(others).dtype == np.float32


def test_where_nothing_varies_one_column_stays() -> None:
    columns = np.full((5, 3), 2.0)
    columns[0, 0] = np.nan
    assert varying(columns).tolist() == [1]
    assert (Standardised.of(columns)(columns) == 0).all()
