# shellcheck shell=bash
# Sourced by slurm.sh, slurm_array.sh and pbs.sh, which say what differs between the schedulers:
#
#   on_this_node COMMAND…    runs a command with --num-cpus and --num-gpus of this node
#   on_other_nodes COMMAND…  likewise on each other node of the job, until it is terminated
#   requeue                  gives the job back to the scheduler
#
# and then call  search NODES PEER ARGUMENTS…  with the number of nodes, the name of the last of them, and the
# arguments of launch_or_resume.sh. The job's exit code is the search's. (The tasks of an array come and go one by
# one: slurm_array.sh does with the same steps what search does where all nodes come at once.)

set -euo pipefail
set -m # a process group for each background command; without, bash would make them deaf to Ctrl-C

export RAY_AUTH_MODE=token # by ~/.ray/auth_token: other users of a node can't run code in this cluster
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0 # when Ray is stopped, nothing runs on it any more
NODES_LIMIT=${NODES_LIMIT:-300} # seconds that the nodes have for starting Ray
TOO_SOON=600                    # a search that stops by itself before so many seconds is not started again

here=$(dirname "${BASH_SOURCE[0]}")
# No fixed ports and directories, since others may share the node. Nothing large goes through the object store.
ray_start=("$(command -v ray || echo ray)" start --block --disable-usage-stats --temp-dir="/tmp/ray-$UID"
    --object-store-memory=$((256 << 20)) --min-worker-port=0 --max-worker-port=0 --dashboard-agent-listen-port=0)
driver='' stopped='' started=()
trap 'stop USR1' USR1     # the time is nearly up: stop, and go on in the next job
trap 'stop TERM' TERM INT # the job is cancelled: stop
trap 'trap "" USR1 TERM INT; end_started' EXIT

search() {
    local nodes=$1 peer=$2 address code=0
    shift 2
    start_ray "$nodes" "$peer"
    say "Ray runs on $nodes nodes, at $address"
    drive "$@" || code=$?
    trap '' USR1 TERM INT
    end_started
    if ((code == 3)) && { [ "$stopped" = USR1 ] || { [ -z "$stopped" ] && ((SECONDS > TOO_SOON)); }; }; then
        say 'to be continued: the job goes back to the scheduler'
        requeue
    fi
    exit $code
}

drive() { # launches the run or goes on with it, on the Ray at $address; the exit code is tune.py's
    local code=0
    driver=''
    if [ -z "$stopped" ]; then
        bash "$here/launch_or_resume.sh" "$@" --address "$address" &
        driver=$!
        while kill -0 $driver 2>/dev/null; do wait $driver || true; done # a signal ends a wait early
        wait $driver || code=$?
    fi
    if ((code > 128)) || { [ -n "$stopped" ] && [ -z "$driver" ]; }; then
        code=3 # killed, as where memory is short, or stopped before it could handle signals
    fi
    return $code
}

stop() {
    stopped=$1
    if [ -n "$driver" ]; then kill -s "$1" "$driver" 2>/dev/null || true; fi
}

start_ray() { # sets address; where the other nodes aren't known yet, PEER is empty, and Ray chooses the interface
    local nodes=$1 peer=$2 host port client_port
    (umask 077 && ray get-auth-token --generate >/dev/null) # others who can read it could run code as this user
    read -r host port client_port < <(
        python - "$peer" <<'END'
import socket, sys

if peer := sys.argv[1]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as towards:  # sends nothing, but chooses the interface
        towards.connect((peer, 9))
        host = towards.getsockname()[0]
else:
    import ray

    host = ray.util.get_node_ip_address()
free = [socket.create_server((host, 0)) for _ in range(2)]
print(host, *(server.getsockname()[1] for server in free))
END
    )
    address=$host:$port
    on_this_node "${ray_start[@]}" --head --node-ip-address="$host" --port="$port" \
        --ray-client-server-port="$client_port" --include-dashboard=false </dev/null &
    started+=($!)
    wait_for 1
    if ((nodes > 1)); then
        on_other_nodes "${ray_start[@]}" --address="$address" </dev/null &
        started+=($!)
        wait_for "$nodes"
    fi
}

wait_for() { # until so many nodes have joined
    local deadline=$((SECONDS + NODES_LIMIT)) process
    until [ -n "$stopped" ] || nodes_are_there "$1"; do
        for process in "${started[@]}"; do
            kill -0 "$process" 2>/dev/null || fail 'Ray has ended on a node; see above'
        done
        ((SECONDS < deadline)) || fail "fewer than $1 nodes have started Ray in $NODES_LIMIT s; see above"
        sleep 1
    done
}

nodes_are_there() {
    python - "$address" "$1" <<'END' 2>/dev/null
import socket, sys, ray

host, port = sys.argv[1].split(":")
socket.create_connection((host, int(port)), timeout=5).close()  # Ray would wait for long
ray.init(sys.argv[1], log_to_driver=False)
sys.exit(sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]))
END
}

end_started() {
    local group
    for group in ${started[@]+"${started[@]}"}; do kill -TERM -- "-$group" 2>/dev/null || true; done
    for group in ${started[@]+"${started[@]}"}; do
        for _ in {1..20}; do
            kill -0 -- "-$group" 2>/dev/null || continue 2
            sleep 1
        done
        kill -KILL -- "-$group" 2>/dev/null || true
    done
    started=()
}

say() { echo "$(date +%T) $*" >&2; }

fail() {
    say "error: $*"
    exit 1
}
