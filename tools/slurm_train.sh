#!/usr/bin/env bash
# Train as a job of the Slurm workload manager, one task per GPU.
set -euo pipefail

if [[ $# -lt 3 ]]; then
    cat >&2 <<'USAGE'
usage: tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of tools/train.py]

From the environment:
  GPUS           GPUs in all (default: 4)
  GPUS_PER_NODE  GPUs on each machine (default: GPUS, at most 8)
  CPUS_PER_TASK  CPU cores for each GPU (default: 5)
  SRUN_ARGS      more options for srun, separated by spaces
USAGE
    exit 2
fi

partition=$1
job_name=$2
config=$3
shift 3
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

gpus=${GPUS:-4}
gpus_per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
read -r -a srun_args <<<"${SRUN_ARGS:-}"

PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" \
    exec srun \
    --partition="$partition" \
    --job-name="$job_name" \
    --gres="gpu:$gpus_per_node" \
    --ntasks="$gpus" \
    --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${srun_args[@]+"${srun_args[@]}"} \
    "${PYTHON:-python}" -u "$tools/train.py" "$config" --launcher slurm "$@"
