"""/bin/true in a sandbox of goldsmith's against runc, as the same user with the same mounts."""

import json
import os
import pwd
import statistics
import subprocess
import time

CAPABILITIES = [
    f"CAP_{name}" for name in
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP SETFCAP "
    "SYS_CHROOT MKNOD NET_BIND_SERVICE".split()
]


def ids(file, user, own):
    """The map of goldsmith's range mode: 0 is the user, the rest the subordinate range."""
    with open(file) as lines:
        for line in lines:
            name, start, count = line.strip().split(":")
            if name == user and int(count) >= 65535:
                return [{"containerID": 0, "hostID": own, "size": 1},
                        {"containerID": 1, "hostID": int(start), "size": 65535}]
    raise SystemExit(f"{file}: no range of 65535 ids for {user}")


def bundle(directory, account):
    """What runtime/src/child/spec.rs asks for, as a bundle for runc."""
    user = account.pw_name

    def mount(destination, kind, source, *options):
        return {"destination": destination, "type": kind, "source": source, "options": options}

    guarded = ["nosuid", "noexec", "nodev"]
    kinds = ["user", "mount", "pid", "ipc", "uts", "network"]
    sets = ["bounding", "effective", "permitted"]
    config = {
        "ociVersion": "1.0.2",
        "root": {"path": f"{directory}/root", "readonly": False},
        "hostname": "goldsmith",
        "process": {
            "terminal": False, "user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/",
            "env": ["HOME=/root", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"],
            "capabilities": {name: CAPABILITIES for name in sets}, "noNewPrivileges": True,
        },
        "mounts": [
            mount("/proc", "proc", "proc", *guarded),
            mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance",
                  "ptmxmode=0666", "mode=0620", "gid=5"),
            mount("/dev/shm", "tmpfs", "shm", *guarded, "mode=1777"),
            mount("/sys", "sysfs", "sysfs", *guarded, "ro"),
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in kinds],
            "uidMappings": ids("/etc/subuid", user, account.pw_uid),
            "gidMappings": ids("/etc/subgid", user, account.pw_gid),
            "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats"],
            "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus",
                              "/proc/fs"],
        },
    }
    with open(f"{directory}/config.json", "w") as file:
        json.dump(config, file)


def compare(goldsmith, user, directory, tar, starts):
    """Starts /bin/true `starts` times in each, alternating; milliseconds."""
    account = pwd.getpwnam(user)
    identity = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [],
                "cwd": directory, "stdin": subprocess.DEVNULL}
    os.mkdir(f"{directory}/root")
    os.chown(f"{directory}/root", account.pw_uid, account.pw_gid)
    subprocess.run(["tar", "-C", "root", "--no-same-owner", "--exclude=./dev/*", "-xf", tar],
                   check=True, **identity)
    bundle(directory, account)
    env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": account.pw_dir,
           "GOLDSMITH_CACHE": f"{directory}/cache", "XDG_RUNTIME_DIR": directory}
    commands = {
        "goldsmith": lambda _: [goldsmith, "run", "--rootfs", f"{directory}/root", "--", "/bin/true"],
        "runc": lambda n: ["runc", "--root", f"{directory}/state", "run", "-b", directory, f"b{n}"],
    }
    times = {name: [] for name in commands}
    for number in range(starts + 2):
        for name, command in commands.items():
            start = time.monotonic()
            subprocess.run(command(number), check=True, env=env, **identity)
            if number >= 2:
                times[name].append((time.monotonic() - start) * 1000)
    medians = {name: statistics.median(list_) for name, list_ in times.items()}
    return {"starts": starts, "milliseconds": times, "median": medians,
            "ratio": medians["goldsmith"] / medians["runc"]}
