"""From frame to features: face, emotion, pose, quality, per-second fusion and windows."""

import sentry_proto as _contract  # noqa: F401 - switches off the telemetry of ONNX Runtime before it is loaded
