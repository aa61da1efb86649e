# Build from the repository's root: docker build -f docker/dashboard.Dockerfile -t sentry-dashboard .
FROM python:3.11.14-slim-bookworm AS build
ARG EXTRAS=dashboard
ARG PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY . .
RUN python -m venv /opt/sentry \
    && /opt/sentry/bin/pip install --quiet -c constraints.txt ".[${EXTRAS}]"

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --create-home --home-dir /var/lib/sentry sentry
COPY --from=build /opt/sentry /opt/sentry
ENV PATH=/opt/sentry/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /var/lib/sentry
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
ENTRYPOINT ["sentry-dashboard"]
CMD ["--key", "/run/secrets/control.key", "--address", "0.0.0.0"]
