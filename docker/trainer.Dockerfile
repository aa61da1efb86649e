# Build from the repository's root: docker build -f docker/trainer.Dockerfile -t sentry-trainer .
FROM python:3.11.14-slim-bookworm AS build
ARG EXTRAS=trainer,postgresql,metrics
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN python -m venv /opt/sentry \
    && /opt/sentry/bin/pip install --quiet -c constraints.txt ".[${EXTRAS}]"

FROM python:3.11.14-slim-bookworm
# Debian keeps only the newest build of a stable release: a pinned one would vanish.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client \
    && rm -rf /var/lib/apt/lists/*
RUN useradd --uid 10001 --create-home --home-dir /var/lib/sentry sentry \
    && install -d -m 700 -o sentry /offline /handed/dashboard /handed/demo
COPY --from=build /opt/sentry /opt/sentry
ENV PATH=/opt/sentry/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /var/lib/sentry
ENV SENTRY_DIR=/var/lib/sentry/trainer OMP_NUM_THREADS=1
VOLUME ["/var/lib/sentry"]
EXPOSE 7710 7711 7712
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["sentry-trainer", "status", "--json"]
ENTRYPOINT ["sentry-trainer"]
CMD ["serve", "--log-format", "json", "--metrics", "9102"]
