"""Structured logs: one JSON object a line and event."""

from __future__ import annotations

import json
import logging
import time


def fields(**values: object) -> dict[str, dict[str, object]]:
    """What a sentence speaks of, by name, for `extra=` of a logging call: a program need not read sentences."""
    return {"fields": values}


class JsonFormatter(logging.Formatter):
    """`time` (UTC, ISO 8601), `level`, `source`, `event`, what `fields` names, and `error` where there is one."""

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
        return json.dumps(getattr(record, "fields", {}) | line)
