#!/usr/bin/env bash
# Check the files of this folder, the Dockerfile and compose.yaml with the tools that are here, and name each check that
# could not be made. Set DEPLOY_BUILD=1 to build and start the image, too: that pulls its base images.
set -euo pipefail
cd "$(dirname "$0")/.."

missed() { echo "NOT CHECKED: $1"; }

if command -v systemd-analyze >/dev/null; then
  exposure=$(systemd-analyze security --offline=true --no-pager deploy/attendant.service | sed -n 's/.*exposure level.*: \([0-9.]*\).*/\1/p')
  echo "deploy/attendant.service: exposure $exposure of 10"
  awk -v level="${exposure:-10}" 'BEGIN { exit !(level < 2.0) }' || { echo "It must be below 2.0."; exit 1; }
else
  missed "the unit's exposure: there is no systemd-analyze (Debian's package systemd)"
fi

if docker compose version >/dev/null 2>&1; then
  docker compose --file compose.yaml config --quiet && echo "compose.yaml: docker compose accepts it"
else
  missed "compose.yaml by docker compose: it is not here. tests/deploy checks its content."
fi

if [ "${DEPLOY_BUILD:-}" != 1 ]; then
  missed "the image: set DEPLOY_BUILD=1 to build and start it. tests/deploy replays the Dockerfile's steps."
elif ! docker info >/dev/null 2>&1; then
  missed "the image: no container runtime answers. tests/deploy replays the Dockerfile's steps."
else
  docker build --quiet --tag attendant:check .
  container=$(docker run --detach --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges attendant:check)
  trap 'docker rm --force "$container" >/dev/null' EXIT
  for _ in $(seq 60); do
    health=$(docker inspect --format '{{.State.Health.Status}}' "$container")
    [ "$health" = starting ] || break
    sleep 1
  done
  echo "the image: $health, with a read-only root and no capability"
  [ "$health" = healthy ] || { docker logs "$container"; exit 1; }
fi

missed "the Kubernetes example on a cluster, and the unit under a running systemd. tests/deploy checks their content."
