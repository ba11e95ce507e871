# shellcheck shell=bash
# nginx with deploy/gateway/nginx.conf, in front of the services on this machine. Sourced after lib.sh.

GATEWAY_PORT=${GATEWAY_PORT:-3000}

gateway_running() { pid_alive "$1/nginx.pid" nginx; }

# gateway_files HOME PORT: everything nginx reads is copied, because its workers run as another user
# when root starts them and may not be able to enter the checkout.
gateway_files() {
  local home=$1 port=$2 source=$REPO/deploy/gateway
  mkdir -p "$home/docs"
  cp "$source/nginx.conf" "$source/docs_headers.conf" "$home/"
  cp -R "$source"/docs/. "$home/docs/"
  # The same ports as in compose, on this machine instead of by container name.
  sed -E 's/server [a-z-]+:/server 127.0.0.1:/' "$source/compose/upstreams.conf" >"$home/upstreams.conf"
  printf 'listen 127.0.0.1:%s;\nroot %s;\n' "$port" "$home" >"$home/server.conf"
  # localhost may mean ::1 first; without the listener a client would wait for the refusal.
  if [ -e /proc/net/if_inet6 ] && grep -q '^00000000000000000000000000000001 ' /proc/net/if_inet6; then
    printf 'listen [::1]:%s;\n' "$port" >>"$home/server.conf"
  fi
}

gateway_check() { nginx -q -t -p "$1/" -c "$1/nginx.conf" -g 'daemon off;'; }

# gateway_start HOME PORT LOG
gateway_start() {
  local home=$1 port=$2 log=$3
  gateway_files "$home" "$port"
  gateway_check "$home" >>"$log" 2>&1 || die "the gateway's configuration is refused, see $log"
  setsid nginx -p "$home/" -c "$home/nginx.conf" -g 'daemon off;' >>"$log" 2>&1 </dev/null &
  wait_until 20 gateway_answers "$port" || die "the gateway did not start, see $log"
}

gateway_answers() { curl -fsS -m 2 "http://127.0.0.1:$1/health"; }

gateway_stop() { stop_pid "$1/nginx.pid" nginx 15; }
