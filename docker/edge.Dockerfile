# Build from the repository's root: docker build -f docker/edge.Dockerfile -t sentry-edge .
# What to watch is said when it is run: docker run ... sentry-edge run --source /recording --participant P01 --metrics 9101
# docker/compose.yaml does so; with a GPU: docker/compose.gpu.yaml.
FROM python:3.11.14-slim-bookworm AS build
ARG EXTRAS=edge,metrics
ARG PACKAGES=
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN python -m venv /opt/sentry \
    && /opt/sentry/bin/pip install --quiet -c constraints.txt ".[${EXTRAS}]" ${PACKAGES}

FROM python:3.11.14-slim-bookworm
# Debian keeps only the newest build of a stable release: a pinned one would vanish.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libgl1 libgles2 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --home-dir /var/lib/sentry sentry
COPY --from=build /opt/sentry /opt/sentry
ENV PATH=/opt/sentry/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /var/lib/sentry
VOLUME ["/var/lib/sentry"]
# It must have given figures within the last seconds; whether frames pass is what they say.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9101/metrics', timeout=4)"]
ENTRYPOINT ["sentry-agent", "--log-format", "json"]
CMD ["--help"]
