#!/usr/bin/env bash
# threadpoolctl 3.8.0, with the OpenBLAS of numpy 2.5.5 (threads of the kind pthreads): of two limits that overlap in
# two threads, the last to leave makes its limit permanent. Needs two processors.
#
# Expected: after both threads have left their `with ... limit(limits=1)`, BLAS has the 2 threads that it had before.
# The documentation says that the limit is one for the process, that only the first thread that sets it does, and that
# the others' calls are ignored until the block is left.
# Happens: it stays at 1 where the first to enter leaves first. The second thread's limit is ignored, but it remembers
# the 1 that it found, and when it leaves, no other thread being in control, it sets that. Leaving in the opposite order
# gives 2.
# Matters: whoever fits several models in threads, each with the limit around it, has all later products of matrices in
# one thread, for as long as the process runs and without a message.
#
# Seen:
#   before                        2
#   the second leaves first       2
#   the first leaves first        1
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12; do
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && break
done
"$python" -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet uv
"$dir/venv/bin/uv" pip install --quiet --python "$dir/venv/bin/python" threadpoolctl==3.8.0 numpy==2.5.5

OPENBLAS_NUM_THREADS=2 "$dir/venv/bin/python" - <<'PY'
from threading import Event, Thread

import numpy  # noqa: F401  (loads OpenBLAS)
from threadpoolctl import ThreadpoolController

controller = ThreadpoolController()


def threads() -> int:
    (blas,) = controller.select(user_api="blas").info()
    assert (blas["internal_api"], blas["threading_layer"]) == ("openblas", "pthreads"), blas
    return blas["num_threads"]


def block(begin: Event, begun: Event, end: Event, ended: Event) -> None:
    begin.wait(60)
    with controller.limit(limits=1, user_api="blas"):
        begun.set()
        end.wait(60)
    ended.set()


def overlap(first_leaves_first: bool) -> int:
    start, inside, both, go, left, done = (Event() for _ in range(6))
    first, second = ((go, left), (left, done)) if first_leaves_first else ((left, done), (go, left))
    workers = [Thread(target=block, args=(start, inside, *first)), Thread(target=block, args=(inside, both, *second))]
    for worker in workers:
        worker.start()
    start.set()
    both.wait(60)
    go.set()
    for worker in workers:
        worker.join()
    return threads()


print("before                  ", before := threads())
assert before == 2, "this needs two processors"
print("the second leaves first ", after := overlap(first_leaves_first=False))
assert after == 2
print("the first leaves first  ", after := overlap(first_leaves_first=True))
assert after == 1
PY
