"""The offline library: data sets, trainers, evaluation, active learning and export."""
