"""Unpacks a layer by goldsmith, tar and umoci, in turn; prints a table and writes it as JSON.

usage: layers.py PLACE ROUNDS MIB    (PLACE has the program; all else is made in it)
"""

import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time

import meter

# What goldsmith is to be of others: the compression, the other program, the least factor.
WANTED = [("gzip", "tar", 1), ("zstd", "tar", 1), ("gzip", "umoci", 1.5)]
# What it may take of memory, in MiB.
MEMORY = 256


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, **options)
    if done.returncode:
        sys.exit(f"{words}: {done.stdout}{done.stderr}")
    return done.stdout


def make_layer(place, mib):
    """A tar of files of this host's packages, until they are MIB; and both compressed forms."""
    plain = f"{place}/layer-{mib}.tar"
    if not os.path.exists(plain + ".done"):
        left, names = mib << 20, []
        for top in ("usr/lib", "usr/share", "usr/bin"):
            for directory, below, files in os.walk("/" + top):
                below.sort()
                for name in sorted(files):
                    path = os.path.join(directory, name)
                    data = os.lstat(path)
                    if data.st_size < 64 << 20 and left >= data.st_size and os.access(path, os.R_OK, follow_symlinks=False):
                        left -= data.st_size + 1024
                        names.append(path.lstrip("/"))
        with open(f"{place}/names", "w") as out:
            out.write("\0".join(names))
        run("tar", "-C", "/", "--format=posix", "--numeric-owner", "--owner=0", "--group=0",
            "--null", "--verbatim-files-from", "-T", f"{place}/names", "-cf", plain)
        run("gzip", "-kf", plain)
        run("zstd", "-qkf", plain)
        open(plain + ".done", "w").close()
    with open(f"{place}/names") as names:
        count = names.read().count("\0") + 1
    return plain, count


def images(place, plain):
    """An image of the layer in either compression, in a registry on loopback."""
    layout = f"{place}/layout"
    shutil.rmtree(layout, ignore_errors=True)
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:gzip")
    run("umoci", "raw", "add-layer", "--image", f"{layout}:gzip", plain)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = "127.0.0.1:%d" % free.getsockname()[1]
    with open(f"{place}/registry.yml", "w") as out:
        out.write(f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {place}/registry}}}}\nhttp: {{addr: '{host}'}}\n")
    registry = subprocess.Popen(["docker-registry", "serve", f"{place}/registry.yml"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(100):
        time.sleep(0.1)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", int(host.split(":")[1]))) == 0:
                break
    for kind in ("gzip", "zstd"):
        run("skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", "--format=oci",
            f"--dest-compress-format={kind}", f"oci:{layout}:gzip", f"docker://{host}/layer:{kind}")
    return host, registry


def table(result):
    layer, runs = result["layer"], result["runs"]
    print(f"{layer['bytes'] >> 20} MiB, {layer['files']} files, load {result['load']:.1f} at the start, "
          f"{result['rounds']} rounds")
    print("| layer | program | median s (range) | times goldsmith | CPU s | peak MiB |")
    print("|---|---|---|---|---|---|")
    medians = {side: {key: statistics.median(one[key] for one in all) for key in all[0]}
               for side, all in runs.items()}
    for side in sorted(runs, key=lambda side: side.split()[::-1]):
        (name, kind), row = side.split(), medians[side]
        walls = [one["wall"] for one in runs[side]]
        factor = row["wall"] / medians[f"goldsmith {kind}"]["wall"]
        print(f"| {kind} | {name} | {row['wall']:.2f} ({min(walls):.2f} to {max(walls):.2f}) | "
              f"{factor:.2f} | {row['cpu']:.1f} | {row['rss_mib']:.0f} |")
    print()
    print("| target | wanted | measured | |")
    print("|---|---|---|---|")
    for kind, name, least in WANTED:
        factor = medians[f"{name} {kind}"]["wall"] / medians[f"goldsmith {kind}"]["wall"]
        print(f"| {kind}: times as fast as {name} | at least {least} | {factor:.2f} | "
              f"{'met' if factor >= least else 'missed'} |")
    peak = max(row["rss_mib"] for side, row in medians.items() if side.startswith("goldsmith"))
    print(f"| peak memory, MiB | under {MEMORY} | {peak:.0f} | {'met' if peak < MEMORY else 'missed'} |")


def main():
    place, rounds, mib = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    load = os.getloadavg()[0]
    plain, count = make_layer(place, mib)
    host, registry = images(place, plain)
    cache = f"{place}/cache"
    env = {"PATH": os.environ["PATH"], "HOME": place, "GOLDSMITH_CACHE": cache}

    def goldsmith(*words):
        return run(f"{place}/goldsmith", *words, env=env)

    def measured(*words):
        os.sync()
        return meter.run(list(words), env, place, f"{place}/log")

    def pull(kind):
        return measured(f"{place}/goldsmith", "pull", f"{host}/layer:{kind}", "--plain-http", host)

    def forget():
        """The blobs stay, what was unpacked of them goes."""
        for directory in ("steps", "refs"):
            for name in os.listdir(f"{cache}/{directory}"):
                os.unlink(f"{cache}/{directory}/{name}")
        goldsmith("store", "gc")

    inside = ["unshare", "--user", "--map-root-user", "--map-auto"]

    def tar(kind):
        os.mkdir(f"{place}/out")
        ending, option = {"gzip": ("gz", "-z"), "zstd": ("zst", "--zstd")}[kind]
        return measured(*inside, "tar", option, "-xpf", f"{plain}.{ending}", "--numeric-owner",
                        "-C", f"{place}/out")

    def umoci(_kind):
        return measured("umoci", "unpack", "--rootless", "--image", f"{place}/layout:gzip", f"{place}/out")

    try:
        sides = [("goldsmith", kind, pull, forget) for kind in ("gzip", "zstd")]
        clean = lambda: run(*inside, "rm", "-rf", f"{place}/out")
        sides += [("tar", kind, tar, clean) for kind in ("gzip", "zstd")]
        sides += [("umoci", "gzip", umoci, clean)]
        for kind in ("gzip", "zstd"):
            pull(kind)
        forget()
        runs = {f"{name} {kind}": [] for name, kind, _, _ in sides}
        for number in range(rounds):
            for name, kind, action, after in sides[number % len(sides):] + sides[:number % len(sides)]:
                runs[f"{name} {kind}"].append(action(kind))
                after()
        goldsmith("store", "prune", "--max-size", "0")
    finally:
        registry.terminate()
        registry.wait()
    shutil.rmtree(cache, ignore_errors=True)
    result = {
        "layer": {"bytes": os.path.getsize(plain), "files": count,
                  "gzip": os.path.getsize(plain + ".gz"), "zstd": os.path.getsize(plain + ".zst")},
        "load": load, "rounds": rounds, "processors": os.cpu_count(),
        "runs": runs,
    }
    with open(f"{place}/layers.json", "w") as out:
        json.dump(result, out, indent=2)
    table(result)


main()
