"""The offline library: data sets, trainers, evaluation, active learning and export."""

import sentry_proto as _contract  # noqa: F401 - switches off the telemetry of ONNX Runtime before it is loaded
