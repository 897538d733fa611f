#!/usr/bin/env bash
# The demo consortium in real containers, then one that `beaver init` makes: the image, health, scripts from the host,
# services down and up again. Needs a running Docker, and either `docker compose` or `docker-compose`. Removes what it
# makes: image, containers, networks, ./.compose.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

command -v docker >/dev/null || fail "Docker is not installed: this test needs it, make test does not"
docker version >/dev/null 2>&1 || fail "Docker does not answer: start the engine, and be allowed to use it (docker version says why)"
if docker compose version >/dev/null 2>&1; then
  compose() { docker compose "$@"; }
elif command -v docker-compose >/dev/null; then
  compose() { docker-compose "$@"; }
else
  fail "neither 'docker compose' nor 'docker-compose' is installed"
fi
[[ ! -e .compose ]] || fail ".compose exists: 'docker compose down' and remove it first, this test makes its own"

PATH=$PWD/.venv/bin:$PATH
export BEAVER_IMAGE=beaver-compose-test
# The services run as who runs this test; root would prove little, so then as the default user.
if (($(id -u) != 0)); then export BEAVER_UID=$(id -u) BEAVER_GID=$(id -g); fi
output=$(mktemp -d)
drafted=$output/drafted
alone=$output/alone

say() { printf '\n== %s\n' "$*"; }

# use PROJECT FILE SERVICE...: which consortium the functions below speak of
use() {
  export COMPOSE_PROJECT_NAME=beaver-compose-test-$1 COMPOSE_FILE=$2
  shift 2
  services=("$@")
}

demo() { use demo "$PWD/docker-compose.yml" north south west dealer; }

init() { use init "$drafted/docker-compose.yml" clinic lab registry dealer; }

# Ports of its own, no dealer.
pairwise() { use pairwise "$alone/docker-compose.yml" clinic lab registry; }

down() { if [[ -e $COMPOSE_FILE ]]; then compose down --timeout 5 2>"$output/down" || cat "$output/down" >&2; fi; }

finish() {
  local status=$?
  trap - EXIT
  if ((status)); then compose logs --no-color --tail=40 || true; fi
  for consortium in demo init pairwise; do "$consortium" && down; done
  docker image rm --force "$BEAVER_IMAGE" >/dev/null 2>&1 || true
  rm -rf "$output" .compose
  exit "$status"
}

container() { compose ps -q "$1"; }

wait_healthy() {
  local service state
  for service in "$@"; do
    for _ in {1..120}; do
      state=$(docker inspect --format '{{.State.Health.Status}}' "$(container "$service")")
      [[ $state == healthy ]] && continue 2
      sleep 0.5
    done
    fail "$service is $state after a minute"
  done
}

run_visits() {
  beaver run examples/visits/visits.py -C .compose --json >"$output/result.json"
  python examples/compare.py visits <"$output/result.json"
}

run_products() {
  beaver run tests/compose_products.py -C .compose --json >"$output/result.json"
  PYTHONPATH=examples python - "$output/result.json" <<'PY'
import json, runpy, sys
from pathlib import Path
import compare
from rich.console import Console

expected = runpy.run_path("tests/compose_products.py")["pooled"](compare.read(Path("examples/visits/data")))
answer = json.loads(Path(sys.argv[1]).read_text())
assert compare.show(Console(), answer["result"], expected), "joint and pooled numbers differ"
assert min(answer["traffic"]["bytes_sent"].values()) > 8 * 5000, "the nodes exchanged no columns"
PY
}

# fails_naming SERVICE: a run fails at once, with a coded error that names the service
fails_naming() {
  if timeout 20 beaver run tests/compose_products.py -C .compose >"$output/error" 2>&1; then fail "the run succeeded without $1"; fi
  cat "$output/error"
  grep -q "$1" "$output/error" || fail "the error does not name $1"
  grep -Eq '\[[A-Z][A-Z_]+\]' "$output/error" || fail "the error has no code"
  if grep -q Traceback "$output/error"; then fail "the error is a traceback"; fi
}

# Lines of JSON with known fields, and none of the numbers of the last result.
check_logs() {
  local service
  mkdir -p "$output/logs"
  for service in "${services[@]}"; do docker logs "$(container "$service")" >"$output/logs/$service" 2>&1; done
  python - "$output" <<'PY'
import json, sys
from pathlib import Path
import numpy as np
from parties.log import FIELDS

result = json.loads(Path(sys.argv[1], "result.json").read_text())["result"]
numbers = {text for value in result.values() for number in np.ravel(value).tolist() if len(text := str(number)) > 6}
assert numbers
for log in Path(sys.argv[1], "logs").iterdir():
    lines = log.read_text().splitlines()
    for line in lines:
        event = json.loads(line)
        assert event["party"] == log.name and set(event) <= FIELDS | {"at", "party", "event"}, line
        assert not any(number in line for number in numbers), f"{log.name} logs a value"
    assert any('"session_done"' in line for line in lines), f"{log.name} logged no session"
PY
}

check_isolation() {
  local service id
  for service in "${services[@]}"; do
    id=$(container "$service")
    [[ $(docker exec "$id" stat -c %u /proc/1) == "${BEAVER_UID:-1000}" ]] || fail "$service runs as another user than asked"
    [[ $(docker exec "$id" find /consortium -name '*.key' -not -path '*/state/*') == "/consortium/$service/identity.key" &&
      -z $(docker exec "$id" find /consortium -name '*.key' -not -path "/consortium/$service/*") ]] ||
      fail "$service does not see exactly its own keys"
  done
}

trap finish EXIT
demo

say "the image is built; no layer of it holds a key, data, a consortium"
compose build --quiet setup
mkdir "$output/image"
docker save "$BEAVER_IMAGE" | tar -x -C "$output/image"
find "$output/image" -type f | while read -r layer; do
  tar -tf "$layer" >>"$output/files" 2>/dev/null || continue
  if (($(tar -xOf "$layer" | LC_ALL=C grep -acE 'signing_key = "[0-9a-f]{64}"'))); then fail "the image holds a secret key"; fi
done
grep -q 'parties/node.py$' "$output/files" || fail "the image does not hold the package"
if grep -E '\.key$|(consortium|party|agreement)\.toml$|/(visits|measurements|slides|diagnoses)\.csv$|^consortium/.' "$output/files"; then
  fail "these do not belong in the image"
fi
rm -r "$output/image"

say "all services come up, are healthy, are not root, and see their own keys alone"
compose up -d
wait_healthy "${services[@]}"
((${BEAVER_UID:-1000})) || fail "the services would run as root"
check_isolation

say "scripts run from the host: sums, then products of columns of different owners"
run_visits
run_products

for service in west dealer; do
  say "with $service stopped, a coded error names it; started again, it serves"
  compose stop --timeout 5 "$service"
  fails_naming "$service"
  compose start "$service"
  wait_healthy "$service"
  run_products
done

say "all restarted, they serve on, and the logs are lines of JSON without a value"
compose restart --timeout 5
wait_healthy "${services[@]}"
run_products
check_logs

say "taken down and brought up as a whole, it is the same consortium"
down
before=$(sha256sum .compose/consortium.toml)
compose up -d
wait_healthy "${services[@]}"
[[ $(sha256sum .compose/consortium.toml) == "$before" ]] || fail "setup made a new consortium over the first"
run_visits
down

# made DIR [OPTION]...: a consortium of beaver init over the data of examples/biopsies, agreed and signed
made() {
  local folder=$1
  beaver init "$@" --parties clinic,lab,registry >/dev/null
  for party in clinic lab registry; do cp "examples/biopsies/data/$party/"*.csv "$folder/$party/data"; done
  beaver agreement draft -C "$folder"
  beaver agreement sign "$folder" --as clinic --as lab --as registry
}

# serves DIR: all services come up, and what they compute is right
serves() {
  compose up -d
  wait_healthy "${services[@]}"
  if (($(id -u) != 0)); then check_isolation; fi
  beaver run examples/biopsies/biopsies.py -C "$1" --json >"$output/result.json"
  python examples/compare.py biopsies <"$output/result.json"
  check_logs
}

say "a consortium of beaver init, with an agreement that beaver drafted"
made "$drafted" --port 7800
init
serves "$drafted"

say "the same without a dealer: the parties make their random material by themselves"
made "$alone" --port 7820 --source pairwise
pairwise
if grep -q dealer "$COMPOSE_FILE" "$alone/consortium.toml"; then fail "there is a dealer"; fi
serves "$alone"

say "passed"
