# shellcheck shell=bash
# A private Redis on loopback. Sourced after lib.sh.

redis_running() { pid_alive "$1/redis/redis.pid" redis-server; }

# redis_start HOME PORT yes|no: the last says whether data outlives a stop. REDIS_USERS names a file of
# users; without it there is one user without a name and a password.
redis_start() {
  local home=$1 port=$2 persist=$3
  local -a users=()
  if redis_running "$home"; then return 0; fi
  install -d -m 700 "$home/redis"
  [ -z "${REDIS_USERS:-}" ] || users=(--aclfile "$REDIS_USERS")
  # Without --dir it would write into the current folder.
  redis-server --port "$port" --bind 127.0.0.1 --dir "$home/redis" --save '' \
    --appendonly "$persist" --appendfsync everysec --daemonize yes \
    --pidfile "$home/redis/redis.pid" --logfile "$home/redis/redis.log" "${users[@]}" >/dev/null
  wait_until 60 redis_answers "$port" || die "Redis did not start, see $home/redis/redis.log"
}

# Who is nobody is told so by a server that is up.
redis_answers() { redis-cli -h 127.0.0.1 -p "$1" ping 2>&1 | grep -q -e PONG -e NOAUTH; }

redis_stop() { stop_pid "$1/redis/redis.pid" redis-server 20; }
