"""The measured part of base; see there.

usage: base.py PLACE OUTPUT ROUNDS USER RELEASE ARCHIVE
"""

import json
import os
import platform
import pwd
import shutil
import statistics
import subprocess
import sys
import tarfile
import time

import meter

place, output, rounds, user, release, archive = sys.argv[1:7]
here = os.path.dirname(os.path.abspath(__file__))
account = pwd.getpwnam(user)
work = f"{place}/rounds"
cache = f"{work}/cache"
# How many times as fast as mmdebstrap goldsmith is to be, and what it may take of memory, in MiB.
FACTOR, MEMORY = 2, 256
base = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": work, "LANG": "C.UTF-8"}


def start_mirror():
    portfile = f"{work}/port"
    server = subprocess.Popen(
        [sys.executable, f"{here}/mirror.py", f"{place}/mirror", portfile, f"debian={archive}"])
    while not os.path.exists(portfile):
        if server.poll() is not None:
            raise SystemExit("the mirror on loopback does not start")
        time.sleep(0.05)
    with open(portfile) as file:
        return server, f"http://127.0.0.1:{file.read()}/debian"


def goldsmith(mirror, directory):
    argv = [f"{place}/goldsmith", "build", "-n", "--progress", "plain", "-t", "tar",
            "-E", f"{here}/elements", "-o", "base", "minimal"]
    env = {**base, "GOLDSMITH_CACHE": cache, "DIB_RELEASE": release,
           "DIB_DISTRIBUTION_MIRROR": mirror}
    return meter.run(argv, env, directory, f"{directory}/log", user)


def forget():
    """Everything but the tools container goes, downloads as well."""
    for name in os.listdir(f"{cache}/steps"):
        path = f"{cache}/steps/{name}"
        with open(path) as file:
            kept = json.load(file).get("name", "").startswith("tools")
        if not kept:
            os.unlink(path)
    shutil.rmtree(f"{cache}/downloads")
    subprocess.run([f"{place}/goldsmith", "store", "gc"], check=True, stdout=subprocess.DEVNULL,
                   env={**base, "GOLDSMITH_CACHE": cache}, cwd=work,
                   user=account.pw_uid, group=account.pw_gid, extra_groups=[])


def mmdebstrap(mirror, directory):
    argv = ["mmdebstrap", "--mode=unshare", "--variant=minbase", release, "base.tar",
            f"deb {mirror} {release} main"]
    os.mkdir(f"{directory}/tmp")
    os.chown(f"{directory}/tmp", account.pw_uid, account.pw_gid)
    env = {**base, "TMPDIR": f"{directory}/tmp"}
    return meter.run(argv, env, directory, f"{directory}/log", user)


def packages(directory):
    """What the tar has installed."""
    with tarfile.open(f"{directory}/base.tar") as tar:
        for member in tar:
            if member.name.lstrip("./") == "var/lib/dpkg/status":
                text = tar.extractfile(member).read().decode()
                return {line[9:] for line in text.split("\n") if line.startswith("Package: ")}
    raise SystemExit(f"{directory}: no dpkg database")


def fresh(name):
    directory = f"{work}/{name}"
    os.makedirs(directory)
    os.chown(directory, account.pw_uid, account.pw_gid)
    return directory


def table(result):
    medians = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
               for name, runs in result["runs"].items()}
    own = medians["goldsmith"]["wall"]
    print(f"{result['date']}: {release}, minbase, {len(result['packages'])} packages, "
          f"{rounds} rounds, {os.cpu_count()} cores, Linux {platform.release()}, "
          f"load {result['load_at_start']:.1f} at the start")
    print("| program | median s (range) | times goldsmith | CPU s | peak MiB |")
    print("|---|---|---|---|---|")
    for name, row in medians.items():
        walls = [run["wall"] for run in result["runs"][name]]
        print(f"| {name} | {row['wall']:.2f} ({min(walls):.2f} to {max(walls):.2f}) | "
              f"{row['wall'] / own:.2f} | {row['cpu']:.1f} | {row['rss_mib']:.0f} |")
    print()
    print("| target | wanted | measured | |")
    print("|---|---|---|---|")
    factor, peak = medians["mmdebstrap"]["wall"] / own, medians["goldsmith"]["rss_mib"]
    print(f"| times faster than mmdebstrap | at least {FACTOR} | {factor:.2f} | "
          f"{'met' if factor >= FACTOR else 'missed'} |")
    print(f"| peak memory, MiB | under {MEMORY} | {peak:.0f} | "
          f"{'met' if peak < MEMORY else 'missed'} |")


def main():
    os.chown(work, account.pw_uid, account.pw_gid)
    os.makedirs(f"{place}/mirror", exist_ok=True)
    frozen = f"{place}/mirror/frozen"
    if os.path.exists(frozen):
        os.unlink(frozen)
    load = os.getloadavg()[0]
    server, mirror = start_mirror()
    sides = [("goldsmith", goldsmith), ("mmdebstrap", mmdebstrap)]
    try:
        print("warm-up, not measured: fills the mirror on loopback", flush=True)
        sets = []
        for name, build in sides:
            directory = fresh(f"warm-{name}")
            build(mirror, directory)
            sets.append(packages(directory))
        if sets[0] != sets[1]:
            raise SystemExit(f"the bases differ: {sorted(sets[0] ^ sets[1])}")
        open(frozen, "w").close()
        runs = {name: [] for name, _ in sides}
        for number in range(int(rounds)):
            for name, build in sides[number % 2:] + sides[:number % 2]:
                forget()
                os.sync()
                runs[name].append(build(mirror, fresh(f"{number}-{name}")))
    finally:
        server.terminate()
        server.wait()
        subprocess.run([f"{place}/goldsmith", "store", "prune", "--max-size", "0"],
                       stdout=subprocess.DEVNULL, env={**base, "GOLDSMITH_CACHE": cache}, cwd=work,
                       user=account.pw_uid, group=account.pw_gid, extra_groups=[])
    result = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "release": release,
              "load_at_start": load, "packages": sorted(sets[0]), "runs": runs}
    with open(output, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    table(result)


main()
