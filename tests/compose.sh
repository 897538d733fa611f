#!/usr/bin/env bash
# The demo consortium in real containers: image, health, a script from the host, one party down and up again.
# Needs a running docker, and either `docker compose` or `docker-compose`. Uses (and removes) ./.compose.
set -euo pipefail
cd "$(dirname "$0")/.."

PATH=$PWD/.venv/bin:$PATH
export BEAVER_UID=${BEAVER_UID:-$(id -u)} BEAVER_GID=${BEAVER_GID:-$(id -g)}
export COMPOSE_PROJECT_NAME=beaver-compose-test
services=(north south west dealer)
script=examples/visits/visits.py
output=$(mktemp -d)

if docker compose version >/dev/null 2>&1; then compose() { docker compose "$@"; }; else compose() { docker-compose "$@"; }; fi

say() { printf '\n== %s\n' "$*"; }

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

finish() {
  local status=$?
  ((status == 0)) || compose logs --no-color --tail=40 || true
  compose down --volumes --timeout 5 >/dev/null 2>&1 || true
  rm -rf "$output" .compose
  exit "$status"
}

wait_healthy() {
  local service state
  for service in "$@"; do
    for _ in $(seq 120); do
      state=$(docker inspect --format '{{.State.Health.Status}}' "$(compose ps -q "$service")")
      [[ $state == healthy ]] && continue 2
      sleep 0.5
    done
    fail "$service is $state after a minute"
  done
}

run_and_compare() {
  beaver run "$script" -C .compose --json >"$output/result.json"
  python examples/compare.py visits <"$output/result.json"
}

[[ -e .compose ]] && fail ".compose exists: 'docker compose down' and remove it first, this test makes its own"
trap finish EXIT

say "the image is built and holds no key, no data, no consortium"
compose build --quiet setup
container=$(docker create beaver-mpc)
docker export "$container" | tar -t >"$output/files"
docker rm "$container" >/dev/null
grep -q 'parties/node.py$' "$output/files" || fail "the image does not hold the package"
if grep -E '\.key$|(consortium|party|agreement)\.toml$|/visits\.csv$|^(consortium|build)/.' "$output/files"; then
  fail "these do not belong in the image"
fi

say "all services come up and are healthy"
compose up -d
wait_healthy "${services[@]}"

say "a script runs from the host"
run_and_compare

say "with west stopped, a coded error names it"
compose stop --timeout 5 west
if timeout 60 beaver run "$script" -C .compose >"$output/error.txt" 2>&1; then fail "the run succeeded without west"; fi
cat "$output/error.txt"
grep -q west "$output/error.txt" || fail "the error does not name west"
grep -Eq '\[[A-Z][A-Z_]+\]' "$output/error.txt" || fail "the error has no code"
if grep -q Traceback "$output/error.txt"; then fail "the error is a traceback"; fi

say "west, started again, serves the next session"
compose start west
wait_healthy west
run_and_compare

say "stopped and started as a whole, the same consortium serves on"
compose down --timeout 5
before=$(sha256sum .compose/consortium.toml)
compose up -d
wait_healthy "${services[@]}"
[[ $(sha256sum .compose/consortium.toml) == "$before" ]] || fail "setup made a new consortium over the first"
run_and_compare

say "passed"
