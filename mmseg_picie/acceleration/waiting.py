"""How long threads wait for each other before they let others compute.

The threads of an operation wait at its end for the last of them. GNU's OpenMP, which torch brings,
lets them spin there for some milliseconds, which is quickest as long as each has a core to itself.
On a machine whose cores are busy, the thread that is waited for is the one that has no core, as
those that wait hold theirs, so every operation takes a turn of the scheduler. Threads that sleep
soon leave the core to it.
"""

import os
import sys

#: Turns of the loop in which a thread waits, before it sleeps; docs/performance.md says what other
#: numbers cost.
SPIN_COUNT = '100000'
#: The user's own choice, which is left alone.
CHOICES = ('OMP_WAIT_POLICY', 'GOMP_SPINCOUNT')


def wait_briefly() -> None:
    """Have threads that wait for each other sleep soon.

    To be called before torch is imported, as OpenMP reads its settings when it is loaded. Later, or
    where the user has chosen, nothing is changed.
    """
    if 'torch' not in sys.modules and not any(name in os.environ for name in CHOICES):
        os.environ['GOMP_SPINCOUNT'] = SPIN_COUNT
