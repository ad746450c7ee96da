#!/bin/bash
# sbatch cluster/slurm.sh SPACE --name NAME [options of tune.py]
#
# A search on all nodes of a Slurm job, submitted from the directory of this checkout, with its environment active.
# Five minutes before the time limit the search is stopped and the job requeues itself; started again, it goes on.
# The exit code is tune.py's: 0 done, 2 bad input, 3 stopped, 4 without a usable result; it goes on
# by itself after 3 alone.
#
#SBATCH --job-name=scale-tune
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
##SBATCH --gpus-per-node=4
#SBATCH --time=04:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

# What the environment takes where it isn't active when the job is submitted, and data on the nodes' own disks:
# cluster/README.md has more of both.
#
# module load python/3.11 cuda/12.6
# source ~/miniforge3/etc/profile.d/conda.sh && conda activate scale-tune
# export PATH=$SLURM_SUBMIT_DIR/container:$PATH  # Apptainer
# export SCALE_TUNE_CACHE=${SLURM_TMPDIR:-${TMPDIR:-/tmp}}/scale-tune-$SLURM_JOB_ID
# srun --ntasks-per-node=1 bash -c 'mkdir -p "$SCALE_TUNE_CACHE" && cp -r /shared/scale-tune-cache/. "$SCALE_TUNE_CACHE"'

# Slurm runs a copy of this script, from elsewhere.
# shellcheck source=cluster/search_on_nodes.sh
source "$SLURM_SUBMIT_DIR/cluster/search_on_nodes.sh"

on_this_node() { # Slurm tells each node what the job has of it
    exec "$@" --num-cpus="$SLURM_CPUS_ON_NODE" --num-gpus="${SLURM_GPUS_ON_NODE:-0}"
}

on_other_nodes() {
    local others=$((SLURM_JOB_NUM_NODES - 1))
    export -f on_this_node
    exec srun --relative=1 --nodes=$others --ntasks=$others --ntasks-per-node=1 --export=ALL \
        ${SLURM_CPUS_PER_TASK:+--cpus-per-task="$SLURM_CPUS_PER_TASK"} --cpu-bind=none --kill-on-bad-exit=0 \
        bash -c 'on_this_node "$@"' - "$@"
}

requeue() {
    scontrol requeue "$SLURM_JOB_ID"
}

search "$SLURM_JOB_NUM_NODES" "$(scontrol show hostnames "$SLURM_JOB_NODELIST" | tail -n 1)" "$@"
