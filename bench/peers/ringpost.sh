# Adapter of Ringpost for the harness in ../shared/peers (its README explains the contract):
#   PEERS_ADAPTERS=bench/peers PEERS_WORK=~/peers ../shared/peers/run ringpost,postfix,floor accept
overlay=0
users=""

ringpost_root=${RINGPOST_ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}
ringpost_build=${RINGPOST_BUILD:-$ringpost_root/build}

prepare() {
  mkdir -p "$MTA_RUN/run"
  chmod 0755 "$MTA_RUN"
  local route=hold
  if [ "$MTA_MODE" = relay ]; then route=smtp://127.0.0.1:$MTA_SINK_PORT; fi
  cat >"$MTA_RUN/ringpost.conf" <<EOF
shards = $MTA_CPUS
listener.bench.address = 127.0.0.1:$MTA_PORT
listener.bench.role = relay
relay.clients = 127.0.0.0/8
route.default = $route
spool.directory = $MTA_RUN/spool
spool.low_space_percent = 0
keys.directory = $MTA_RUN/keys
keys.allow_same_filesystem = yes
audit.directory = $MTA_RUN/audit
control.socket = $MTA_RUN/run/control.sock
limits.connections_max = $((MTA_MAXCONN + 100))
limits.connections_per_client = $((MTA_MAXCONN + 100))
limits.connections_per_prefix = $((MTA_MAXCONN + 100))
EOF
  if [ "$MTA_TLS" = 1 ]; then
    printf '%s\n' "listener.bench.tls = offered" "tls.certificate.bench.chain = $MTA_CERT" "tls.certificate.bench.key = $MTA_KEY" \
      >>"$MTA_RUN/ringpost.conf"
  fi
}

start() {
  "$ringpost_build/ringpostd" -c "$MTA_RUN/ringpost.conf" >"$MTA_RUN/log" 2>&1 &
  echo $! >"$MTA_RUN/pid"
}

stop() {
  kill "$(cat "$MTA_RUN/pid")"
  tail --pid="$(cat "$MTA_RUN/pid")" -f /dev/null
}

flush() { :; }

qlen() {
  "$ringpost_build/ringpostctl" -c "$MTA_RUN/ringpost.conf" status --json | sed -n 's/.*"queued":\([0-9]*\).*/\1/p' | head -n 1
}

version() { git -C "$ringpost_root" log -1 --format=%h; }
