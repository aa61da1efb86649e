"""The long-running process on a lab machine."""

import sentry_proto as _contract  # noqa: F401 - switches off the telemetry of ONNX Runtime before it is loaded
