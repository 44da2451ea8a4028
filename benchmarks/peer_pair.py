"""Two processes of one thread each that run one arm of benchmarks/peer_arms.py together.

python benchmarks/peer_pair.py ARM TASK SEED TRIALS OUT
"""

import os
import subprocess
import sys
from pathlib import Path

ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""The environment of a process that has one core."""

SECOND = "PEERS_SECOND"
"""Set in the second of the processes."""


def main() -> None:
    """Start both, and wait for them."""
    line = [sys.executable, str(Path(__file__).with_name("peer_arms.py")), *sys.argv[1:]]
    environment = {**os.environ, **ONE_THREAD}
    both = [subprocess.Popen(line, env=environment | more) for more in ({}, {SECOND: "1"})]
    sys.exit(max(process.wait() for process in both))


if __name__ == "__main__":
    main()
