"""Ingest, store, labels, learner, publisher and control API."""
