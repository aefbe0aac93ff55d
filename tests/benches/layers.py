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


def timed(action):
    os.sync()
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def main():
    place, rounds, mib = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    load = os.getloadavg()[0]
    plain, count = make_layer(place, mib)
    host, registry = images(place, plain)
    cache = f"{place}/cache"
    env = {"PATH": os.environ["PATH"], "HOME": place, "GOLDSMITH_CACHE": cache}

    def goldsmith(*words):
        return run(f"{place}/goldsmith", *words, env=env)

    def pull(kind):
        goldsmith("pull", f"{host}/layer:{kind}", "--plain-http", host)

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
        run(*inside, "tar", option, "-xpf", f"{plain}.{ending}", "--numeric-owner", "-C", f"{place}/out")

    def umoci(_kind):
        run("umoci", "unpack", "--rootless", "--image", f"{place}/layout:gzip", f"{place}/out")

    try:
        sides = [("goldsmith", kind, pull, forget) for kind in ("gzip", "zstd")]
        clean = lambda: run(*inside, "rm", "-rf", f"{place}/out")
        sides += [("tar", kind, tar, clean) for kind in ("gzip", "zstd")]
        sides += [("umoci", "gzip", umoci, clean)]
        for kind in ("gzip", "zstd"):
            pull(kind)
        forget()
        times = {(name, kind): [] for name, kind, _, _ in sides}
        for number in range(rounds):
            for name, kind, action, after in sides[number % len(sides):] + sides[:number % len(sides)]:
                times[name, kind].append(timed(lambda: action(kind)))
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
        "seconds": {f"{name} {kind}": list for (name, kind), list in times.items()},
    }
    with open(f"{place}/layers.json", "w") as out:
        json.dump(result, out, indent=2)
    print(f"{result['layer']['bytes'] >> 20} MiB, {count} files, load {load:.1f} at the start, {rounds} rounds")
    print("| layer | program | median s (range) | times goldsmith |")
    print("|---|---|---|---|")
    for (name, kind), seconds in sorted(times.items(), key=lambda one: one[0][::-1]):
        middle, own = statistics.median(seconds), statistics.median(times["goldsmith", kind])
        print(f"| {kind} | {name} | {middle:.2f} ({min(seconds):.2f} to {max(seconds):.2f}) | {middle / own:.2f} |")


main()
