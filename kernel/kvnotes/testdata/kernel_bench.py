"""What a kernel costs, beside ipykernel in the same run: start, idle memory, a round trip, ten million steps of a loop."""
import json
import statistics
import sys
import time

from jupyter_client import KernelManager

LOOPS = {
    "kvnotes": "sum := 0\nfor i := 0; i < 10000000; i++ { sum += i }\nsum",
    "python3": "total = 0\nfor i in range(10000000): total += i\ntotal",
}


def reply(client, sent):
    while True:
        m = client.get_shell_msg(timeout=60)
        if m["parent_header"].get("msg_id") == sent:
            assert m["content"]["status"] == "ok", m["content"]
            return


def resident(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
    return float("nan")


def measure(name):
    starts = []
    for last in (False, False, True):
        manager = KernelManager(kernel_name=name)
        began = time.time()
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        starts.append(time.time() - began)
        if not last:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    row = {"start s": statistics.median(starts), "idle MB": resident(manager.provisioner.process.pid)}
    took = []
    for _ in range(200):
        began = time.time()
        reply(client, client.execute("1+1"))
        took.append(time.time() - began)
    row["1+1 ms"] = 1e3 * statistics.median(took)
    began = time.time()
    reply(client, client.execute(LOOPS[name]))
    row["1e7 steps s"] = time.time() - began
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return row


rows = {name: measure(name) for name in LOOPS}
if "--json" in sys.argv:
    print(json.dumps(rows))
else:
    print(f"{'':12}" + "".join(f"{name:>12}" for name in rows))
    for what in rows["kvnotes"]:
        print(f"{what:12}" + "".join(f"{row[what]:12.3f}" for row in rows.values()))
