#!/bin/bash
# bash cluster/pbs.sh SPACE --name NAME [options of tune.py]
#
# Submits itself to PBS (OpenPBS, PBS Professional): a search on all nodes of a job, in this directory and with this
# PATH, that is, with the environment that is active. Five minutes before the walltime is up the search is stopped
# and a job like it submitted, which goes on. QSUB overrides the directives below in all these jobs:
#   QSUB='-l select=4:ncpus=16:ngpus=2 -l walltime=24:00:00 -q gpu' bash cluster/pbs.sh …
# The exit code is tune.py's: 0 done, 2 bad input, 3 stopped, 4 without a usable result; it goes on
# by itself after 3 alone.
#
#PBS -N scale-tune
#PBS -S /bin/bash
#PBS -l select=2:ncpus=8
#PBS -l place=scatter
#PBS -l walltime=04:00:00
#PBS -j oe

script=$(realpath "${BASH_SOURCE[0]}") arguments=("$@")

submit() { # a script of these directives and this command
    # shellcheck disable=SC2086
    { grep '^#PBS' "$script" && printf '%q ' exec env QSUB="${QSUB-}" bash "$script" "${arguments[@]}"; } | qsub ${QSUB-}
}

if [ -z "${PBS_JOBID-}" ]; then
    submit
    exit
fi

cd "$PBS_O_WORKDIR" || exit
PATH=$PBS_O_PATH

# What the environment takes where it isn't active when the job is submitted; cluster/README.md has more of it:
#
# module load python/3.11 cuda/12.6
# source ~/miniforge3/etc/profile.d/conda.sh && conda activate scale-tune
# export PATH=$PBS_O_WORKDIR/container:$PATH  # Apptainer

# shellcheck source=cluster/search_on_nodes.sh
source "$(dirname "$script")/search_on_nodes.sh"

asked_for() { # how much of a resource the job has
    qstat -f "$PBS_JOBID" | sed -n "s/^ *Resource_List\.$1 = //p"
}

hosts=() tasks=() # each host once, and the first of its tasks, by which pbsdsh knows it
task=0
while read -r host; do
    case " ${hosts[*]-} " in *" $host "*) ;; *) hosts+=("$host") tasks+=("$task") ;; esac
    ((task += 1))
done <"$PBS_NODEFILE"
ncpus=$(asked_for ncpus) ngpus=$(asked_for ngpus)
share=(--num-cpus=$((ncpus / ${#hosts[@]})) --num-gpus=$((${ngpus:-0} / ${#hosts[@]}))) # all nodes are alike

on_this_node() {
    exec "$@" "${share[@]}"
}

on_other_nodes() {
    local task
    for task in "${tasks[@]:1}"; do
        pbsdsh -n "$task" -- "$(command -v env)" RAY_AUTH_MODE=token PATH="$PATH" \
            ${LD_LIBRARY_PATH+LD_LIBRARY_PATH="$LD_LIBRARY_PATH"} "$@" "${share[@]}" &
    done
    wait
}

requeue() {
    submit
}

IFS=: read -r hours minutes seconds < <(asked_for walltime)
left=$((10#$hours * 3600 + 10#$minutes * 60 + 10#$seconds - 300 - SECONDS))
{ sleep $((left > 0 ? left : 0)) && kill -USR1 $$; } &
started+=($!)

search "${#hosts[@]}" "${hosts[-1]}" "${arguments[@]}"
