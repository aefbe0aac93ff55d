"""Runs one program and measures it with all it started, daemons included.

The program runs below a process of its own that adopts orphans (PR_SET_CHILD_SUBREAPER), so the
CPU seconds that wait4(2) reports are those of the whole tree. Memory is that of the largest
single process; tmpfs and page cache are not in it.
"""

import ctypes
import json
import os
import pwd
import resource
import subprocess
import sys
import time

PR_SET_CHILD_SUBREAPER = 36


def child(spec):
    """In the measuring process: runs the program and returns what it took."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    identity = {}
    if spec["user"]:
        entry = pwd.getpwnam(spec["user"])
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    with open(spec["log"], "ab") as log:
        start = time.monotonic()
        process = subprocess.Popen(
            spec["argv"], env=spec["env"], cwd=spec["cwd"], stdin=subprocess.DEVNULL,
            stdout=log, stderr=log, **identity,
        )
        status = process.wait()
        wall = time.monotonic() - start
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "status": status,
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "cpu_user": usage.ru_utime,
        "cpu_system": usage.ru_stime,
        "rss_mib": usage.ru_maxrss / 1024,
    }


def run(argv, env, cwd, log, user=None):
    """Measures `argv`; raises when it fails."""
    load = os.getloadavg()[0]
    spec = {"argv": argv, "env": env, "cwd": cwd, "log": log, "user": user}
    done = subprocess.run(
        [sys.executable, __file__, json.dumps(spec)], capture_output=True, text=True, check=True
    )
    result = json.loads(done.stdout)
    result["load_before"] = load
    if result["status"] != 0:
        with open(log, errors="replace") as file:
            tail = file.read().splitlines()[-40:]
        raise SystemExit("\n".join([*tail, f"{argv[0]}: status {result['status']}, see {log}"]))
    return result


if __name__ == "__main__":
    print(json.dumps(child(json.loads(sys.argv[1]))))
