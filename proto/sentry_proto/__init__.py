"""The contract between Sentry's services; every one of them imports this package before anything else."""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
"""From 1.29 on, ONNX Runtime's Linux builds report to their maker unless this is set before they are loaded. Sentry
speaks with its own machines only, so no package of it may be imported without this one."""
