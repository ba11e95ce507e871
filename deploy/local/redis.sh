# shellcheck shell=bash
# A private Redis on loopback. Sourced after lib.sh.

redis_running() { pid_alive "$1/redis/redis.pid" redis-server; }

# redis_start HOME PORT yes|no: the last says whether data outlives a stop.
redis_start() {
  local home=$1 port=$2 persist=$3
  if redis_running "$home"; then return 0; fi
  install -d -m 700 "$home/redis"
  # Without --dir it would write into the current folder.
  redis-server --port "$port" --bind 127.0.0.1 --dir "$home/redis" --save '' \
    --appendonly "$persist" --appendfsync everysec --daemonize yes \
    --pidfile "$home/redis/redis.pid" --logfile "$home/redis/redis.log" >/dev/null
  wait_until 60 redis_answers "$port" || die "Redis did not start, see $home/redis/redis.log"
}

redis_answers() { [ "$(redis-cli -h 127.0.0.1 -p "$1" ping 2>/dev/null)" = PONG ]; }

redis_stop() { stop_pid "$1/redis/redis.pid" redis-server 20; }
