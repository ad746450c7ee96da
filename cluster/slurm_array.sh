#!/bin/bash
# sbatch --array=1-8 cluster/slurm_array.sh SPACE --name NAME [options of tune.py]
#
# A search by an array of small jobs, submitted from the directory of this checkout, with its environment active. Each
# task joins the search with one GPU as the queue lets it in. The first is the head, where the driver runs, and trains
# like the others; when it ends, however it ends, another takes over and goes on with the run. Two minutes before its
# time limit a task leaves and requeues itself. All tasks end when the search does, also those that are let in later.
# The exit code is tune.py's: 0 done, 2 bad input, 3 stopped, 4 ended without a usable result.
#
#SBATCH --job-name=scale-tune
#SBATCH --array=1-4
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gpus-per-node=1
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log

# What the environment takes where it isn't active when the job is submitted, and data on the node's own disk:
# cluster/README.md has more of both.
#
# module load python/3.11 cuda/12.6
# source ~/miniforge3/etc/profile.d/conda.sh && conda activate scale-tune
# export PATH=$SLURM_SUBMIT_DIR/container:$PATH  # Apptainer
# export SCALE_TUNE_CACHE=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/scale-tune-$SLURM_JOB_ID
# mkdir -p "$SCALE_TUNE_CACHE" && cp -r /shared/scale-tune-cache/. "$SCALE_TUNE_CACHE"

# Slurm runs a copy of this script, from elsewhere.
# shellcheck source=cluster/search_on_nodes.sh
source "$SLURM_SUBMIT_DIR/cluster/search_on_nodes.sh"

# The tasks meet beside the run, those of another array for the same run included; for one in an object store, here.
run=$(bash "$here/launch_or_resume.sh" --where "$@")
case $run in
    *://*) meeting=.${run##*/}.array ;;
    *) meeting=$(dirname "$run")/.$(basename "$run").array ;;
esac
head=$meeting/head                       # where the head's Ray is
ended=$meeting/ended-$SLURM_ARRAY_JOB_ID # the exit code, once there is nothing left to do for this array
mkdir -p "$meeting"
exec 9>>"$meeting/lock"

cache=${SCALE_TUNE_CACHE-} # each task may have its own, so the driver doesn't tell the others where its is
unset SCALE_TUNE_CACHE

on_this_node() {
    if [ -n "$cache" ]; then export SCALE_TUNE_CACHE=$cache; fi
    exec "$@" --num-cpus="$SLURM_CPUS_ON_NODE" --num-gpus="${SLURM_GPUS_ON_NODE:-0}"
}

requeue() { # this task: one of them has the number of the whole array for its SLURM_JOB_ID
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
}

over() { # whether this task has nothing more to do
    [ -n "$stopped" ] || [ -e "$ended" ]
}

take_lead() { # whether this task is the head now: the system drops the lock with the processes that hold it
    local code=0
    flock --nonblock 9 || code=$?
    ((code < 2)) || fail "can't lock $meeting/lock: the storage must be on a file system with locks"
    return $code
}

head_address() {
    cat "$head" 2>/dev/null || true
}

answers() { # whether somebody listens there
    local host=${1%:*}
    [ -n "$1" ] && host=${host#[} && timeout 5 bash -c ": </dev/tcp/${host%]}/${1##*:}" 2>/dev/null
}

lead() {
    local code=0 began
    wait_for_silence
    if over; then return; fi
    rm -f "$head" # now the others leave the Ray of the head before
    start_ray 1 ''
    write "$head" "$address"
    while sleep 10; do touch -c "$head"; done &
    started+=($!)
    disown # nobody is told when it is terminated
    say "this task is the head, at $address"
    began=$SECONDS
    drive "$@" || code=$?
    rm -f "$head"
    case $code in
        0 | 2 | 4) write "$ended" $code ;;
        *) if [ -z "$stopped" ]; then count_failure $code $((SECONDS - began)); fi ;;
    esac
    end_started
    flock --unlock 9
    if ! over; then
        say "the driver has ended with $code; the next one goes on"
        sleep 5 # on another node, if there is one
    fi
}

wait_for_silence() { # of the head before, whose processes may outlive its lock for a moment
    local before touched deadline=$((SECONDS + 60))
    before=$(head_address)
    touched=$(stat -c %Y "$head" 2>/dev/null || true)
    while ! over && answers "$before"; do
        [ "$(stat -c %Y "$head" 2>/dev/null)" = "$touched" ] || fail "there is a head at $before, but its lock is free:
the storage must be on a file system whose locks hold on all nodes (on Lustre, mounted with flock, not localflock)"
        ((SECONDS < deadline)) || return 0 # it is somebody else who has got that port
        sleep 1
    done
}

count_failure() { # CODE LASTED: a driver that ends by itself soon, again and again, will not get further elsewhere
    local file=$meeting/failures-$SLURM_ARRAY_JOB_ID count=0
    if (($2 < TOO_SOON)); then
        count=$(($(cat "$file" 2>/dev/null || echo 0) + 1))
    fi
    write "$file" $count
    if ((count == 3)); then write "$ended" "$1"; fi
}

join() { # until there is another head, or none
    local address began=$SECONDS
    address=$(head_address)
    if ! answers "$address"; then
        sleep 2
        return
    fi
    say "joins the search at $address"
    on_this_node "${ray_start[@]}" --address="$address" </dev/null 9>&- &
    started=($!)
    until over || [ "$(head_address)" != "$address" ] || take_lead; do
        if ! kill -0 "${started[0]}" 2>/dev/null; then
            ((SECONDS - began > 60)) || ((failures += 1))
            ((failures < 5)) || fail 'Ray has ended on this node again and again; see above'
            break
        fi
        sleep 2
    done
    end_started
}

write() { # FILE TEXT: nobody sees half of it
    echo "$2" >"$1.$SLURM_ARRAY_TASK_ID"
    mv "$1.$SLURM_ARRAY_TASK_ID" "$1"
}

failures=0
until over; do
    if take_lead; then lead "$@"; else join; fi
done
if [ -e "$ended" ]; then
    code=$(<"$ended")
    say "the search has ended with $code"
    exit "$code"
fi
if [ "$stopped" = USR1 ]; then
    say 'to be continued: the task goes back to the scheduler'
    requeue
fi
exit 3
