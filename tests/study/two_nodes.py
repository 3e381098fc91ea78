"""A Ray cluster of two nodes on this machine, each with one CPU: says its address, and ends with its standard input.

A line on standard input kills the second node, as a power cut would.
"""

import os
import sys

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    say(cluster.address)
    for _ in sys.stdin:
        cluster.remove_node(second, allow_graceful=False)
        say("killed")
    cluster.shutdown()


if __name__ == "__main__":
    main()
