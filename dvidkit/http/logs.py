"""Where a server's log lines go: text or JSON, to standard error or to files that are changed when they are full."""

from __future__ import annotations

import logging
import logging.handlers
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from dvidkit.http.serverconfig import LogConfig

_LOGGERS: Final = ("dvidkit", "uvicorn")
_KEPT: Final = 20
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """Each record as one JSON object: ``time``, ``level``, ``logger``, ``message``, and ``exception``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        shown = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            shown["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(shown).decode()


class TextLines(logging.Formatter):
    """Each record for people, times in UTC."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """RFC 3339."""
        return _time(record.created)


class AgingFile(logging.handlers.RotatingFileHandler):
    """A log file that is renamed when it is full; old ones are deleted by number and by age."""

    def __init__(self, path: str, megabytes: int, days: int) -> None:
        self._days = days
        super().__init__(path, maxBytes=megabytes << 20, backupCount=_KEPT, encoding="utf-8")
        self._forget_old()

    def doRollover(self) -> None:  # noqa: N802 - logging's name
        """Begin a new file."""
        super().doRollover()
        self._forget_old()

    def _forget_old(self) -> None:
        if not self._days:
            return
        oldest = time.time() - 86_400 * self._days
        file = Path(self.baseFilename)
        for old in file.parent.glob(f"{file.name}.*"):
            if old.stat().st_mtime < oldest:
                old.unlink(missing_ok=True)


def set_up(config: LogConfig) -> Callable[[], None]:
    """Send the lines of dvidkit's and uvicorn's loggers where the configuration says. Returns what undoes it.

    Raises:
        OSError: the file cannot be written.
    """
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if config.file:
        handler = AgingFile(config.file, config.megabytes, config.days)
    handler.setFormatter(JsonLines() if config.json else TextLines())
    before = [(logger, logger.level, logger.propagate) for logger in map(logging.getLogger, _LOGGERS)]
    for logger, _, _ in before:
        logger.addHandler(handler)
        logger.setLevel(config.level.upper())
        logger.propagate = False
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)

    def undo() -> None:
        for logger, level, propagate in before:
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate
        handler.close()

    return undo


class AccessLog:
    """A line of JSON for each answered request, in a file or on standard error. Thread-safe.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, config: LogConfig) -> None:
        self._handler: logging.Handler
        if config.access == "-":
            self._handler = logging.StreamHandler(sys.stderr)
        else:
            self._handler = AgingFile(config.access, config.megabytes, config.days)

    def __call__(self, activity: Mapping[str, Any]) -> None:
        """Write the line."""
        line = msgspec.json.encode(activity).decode()
        self._handler.handle(logging.LogRecord("dvidkit.access", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()


def _time(seconds: float) -> str:
    milliseconds = int(1000 * seconds) % 1000
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{milliseconds:03d}Z"
