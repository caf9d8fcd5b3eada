#!/usr/bin/env bash
# Train on several devices: one process per GPU, or GPUS processes on a machine without one.
set -euo pipefail

if [[ $# -lt 2 ]]; then
    cat >&2 <<'USAGE'
usage: tools/dist_train.sh CONFIG GPUS [options of tools/train.py]

GPUS is the number of processes on this machine. For several machines, run this on each of them with
  NNODES=<machines> NODE_RANK=<0, 1, ...> MASTER_ADDR=<address of machine 0> PORT=<a free port>

With MAX_RESTARTS=<number> and the option --resume, a job on one machine of which a process dies is
started again, and goes on from its newest checkpoint.
USAGE
    exit 2
fi

config=$1
gpus=$2
shift 2
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" \
    exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --nproc-per-node="$gpus" \
    --max-restarts="${MAX_RESTARTS:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    "$tools/train.py" "$config" --launcher pytorch "$@"
