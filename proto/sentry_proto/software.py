"""Which release of Sentry this is; the wire, the files and the commands all name the same."""

from importlib.metadata import version

SOFTWARE = version("sentry-lab")
