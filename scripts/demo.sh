#!/usr/bin/env bash
# The demonstration: sandbox without limits, 30 days backfilled, then Dagster. Ctrl-C ends all of it.
# Called by `make demo`, which sets DEMO (data folder and Dagster home) and PATH.
set -euo pipefail

root=$PWD
log="$DEMO/sandbox.log"
cd "$DEMO" # whose dagster.yaml holds, and where no .env points at the real data
funding sandbox --no-limits --markets 25 --port 0 >"$log" 2>&1 &
sandbox=$!
trap 'kill "$sandbox" 2>/dev/null || true' EXIT

url=""
for _ in $(seq 100); do
  url=$(grep -om1 'http://[0-9.]*:[0-9]*' "$log" || true)
  [ -n "$url" ] && break
  kill -0 "$sandbox" || { cat "$log"; exit 1; }
  sleep 0.1
done
[ -n "$url" ] || { echo "the sandbox did not start:"; cat "$log"; exit 1; }

export FUNDING_DATA_DIR="$DEMO" FUNDING_SANDBOX_URL="$url" FUNDING_LIMITS=off DAGSTER_HOME="$DEMO"
funding backfill --days 30
# Else they would be drawn with the next hour's settlements.
PYTHONWARNINGS=ignore dagster asset materialize --module-name funding_pipeline.definitions \
  --select pictures >"$DEMO/pictures.log" 2>&1 || cat "$DEMO/pictures.log"
echo
echo "Query it:   duckdb -readonly $DEMO/read.duckdb \"FROM latest_rates ORDER BY apr DESC LIMIT 10\""
echo "See it:     http://127.0.0.1:${DEMO_PORT:-3000}    (Ctrl-C ends it)"
echo
dagster dev --workspace "$root/workspace.yaml" --port "${DEMO_PORT:-3000}"
