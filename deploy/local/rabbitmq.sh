# shellcheck shell=bash
# A private RabbitMQ with a private port mapper (epmd) on loopback. Sourced after lib.sh.

# /usr/sbin/rabbitmq-server is Debian's wrapper: it changes the user and drops the environment.
rabbit_sbin() {
  local dir
  for dir in /usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin; do
    if [ -x "$dir/rabbitmq-server" ]; then
      echo "$dir"
      return 0
    fi
  done
  return 1
}

rabbit_running() { pid_alive "$1/rabbit/rabbit.pid" beam.smp; }

# The environment of every Erlang program of this broker. HOME holds the cookie; the private epmd
# keeps two checkouts from fighting over node names.
rabbit_env() {
  local home=$1 amqp=$2 dist=$3 epmd=$4
  export HOME=$home/rabbit/home LANG=C.UTF-8 LC_ALL=C.UTF-8
  export RABBITMQ_NODENAME=portal@localhost RABBITMQ_USE_LONGNAME=false
  export RABBITMQ_MNESIA_BASE=$home/rabbit/mnesia RABBITMQ_LOG_BASE=$home/rabbit/log
  export RABBITMQ_CONFIG_FILE=$home/rabbit/etc/rabbitmq
  export RABBITMQ_CONF_ENV_FILE=$home/rabbit/etc/rabbitmq-env.conf
  export RABBITMQ_ENABLED_PLUGINS_FILE=$home/rabbit/etc/enabled_plugins
  export RABBITMQ_NODE_PORT=$amqp RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_DIST_PORT=$dist
  export RABBITMQ_PID_FILE=$home/rabbit/rabbit.pid
  export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}'
  export ERL_EPMD_PORT=$epmd ERL_EPMD_ADDRESS=127.0.0.1
}

# rabbit_start HOME AMQP_PORT DIST_PORT EPMD_PORT DEFINITIONS
# The last is a file of users and exchanges; it counts at every start.
rabbit_start() {
  local home=$1 amqp=$2 dist=$3 epmd=$4 definitions=$5 sbin
  if rabbit_running "$home"; then return 0; fi
  sbin=$(rabbit_sbin) || die "RabbitMQ's own scripts are not installed"
  install -d -m 700 "$home/rabbit"
  mkdir -p "$home"/rabbit/{home,mnesia,log,etc}
  rm -f "$home/rabbit/rabbit.pid"
  cat >"$home/rabbit/etc/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$amqp
loopback_users = none
load_definitions = $definitions
vm_memory_high_watermark.absolute = 2GiB
disk_free_limit.absolute = 500MB
log.console = false
CONF
  # No plugins: faster start, no further ports.
  echo '[].' >"$home/rabbit/etc/enabled_plugins"
  : >"$home/rabbit/etc/rabbitmq-env.conf"
  # setsid: Ctrl-C in the terminal must not reach it before the services have stopped.
  (
    rabbit_env "$home" "$amqp" "$dist" "$epmd"
    cd "$home/rabbit" || exit 1
    exec setsid "$sbin/rabbitmq-server" >"$home/rabbit/log/stdout.log" 2>&1 </dev/null
  ) &
  wait_until 120 rabbit_listens "$home" "$amqp" ||
    die "RabbitMQ did not start within 120 s, see $home/rabbit/log"
}

rabbit_listens() { rabbit_running "$1" && tcp_open "$2"; }

# rabbit_stop HOME EPMD_PORT
rabbit_stop() {
  # On SIGTERM the node closes its queues and leaves in order; rabbitmqctl would first need an
  # Erlang machine of its own.
  stop_pid "$1/rabbit/rabbit.pid" beam.smp 60
  # The port mapper otherwise stays for ever. It refuses while it still knows the node, which it
  # forgets a moment after the node has ended.
  [ -z "${2:-}" ] || wait_until 10 epmd_gone "$1" "$2" || warn "the port mapper on port $2 did not stop"
}

epmd_gone() {
  port_taken "$2" || return 0
  HOME=$1/rabbit/home ERL_EPMD_ADDRESS=127.0.0.1 epmd -port "$2" -kill >/dev/null 2>&1 || true
  ! port_taken "$2"
}
