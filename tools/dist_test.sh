#!/usr/bin/env bash
# Test on several devices: one process per GPU, or GPUS processes on a machine without one.
set -euo pipefail

if [[ $# -lt 3 ]]; then
    cat >&2 <<'USAGE'
usage: tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]

GPUS is the number of processes on this machine. For several machines, run this on each of them with
  NNODES=<machines> NODE_RANK=<0, 1, ...> MASTER_ADDR=<address of machine 0> PORT=<a free port>
USAGE
    exit 2
fi

config=$1
checkpoint=$2
gpus=$3
shift 3
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}" \
    exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --nproc-per-node="$gpus" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    "$tools/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
