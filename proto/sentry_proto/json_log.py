"""Structured logs: one JSON object a line and event."""

from __future__ import annotations

import json
import logging
import time


class JsonFormatter(logging.Formatter):
    """`time` (UTC, ISO 8601), `level`, `source`, `event`, and `error` where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "source": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)
