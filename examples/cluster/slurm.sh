#!/bin/bash
# A search on 4 nodes of a SLURM cluster.
#
# NOT RUN BY US: we have no SLURM cluster. `ray symmetric-run` is as Ray's documentation has it (Ray 2.49 or later). It
# starts Ray on every node, runs the command on the first one, and stops Ray at the end.
#
# The current folder must be on a disk that all nodes see. Submit it again to resume the search.

#SBATCH --job-name=cnnsearch
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-task=2
#SBATCH --time=08:00:00

set -euo pipefail

. .venv/bin/activate # with cnnsearch[ray], the same versions on all nodes

export RAY_AUTH_MODE=token # the token of `ray get-auth-token --generate`, in a home folder that all nodes see

first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 10000)) # other jobs on the same node use other ports

# --timeout ends the search before SLURM ends the job
srun ray symmetric-run --address "$first:$port" --min-nodes "$SLURM_NNODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus 2 -- \
    cnnsearch run --space cifar10_cnn --trials 500 --launcher ray --gpus-per-trial 0.5 \
    --timeout 7h
