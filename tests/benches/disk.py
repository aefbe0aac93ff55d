"""The measured part of disk; see there.

usage: disk.py PLACE OUTPUT ROUNDS USER RELEASE
"""

import json
import os
import platform
import pwd
import statistics
import subprocess
import sys
import time

import meter

place, output, rounds, user, release = sys.argv[1:6]
here = os.path.dirname(os.path.abspath(__file__))
account = pwd.getpwnam(user)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CACHE = f"{place}/cache"
GIB = 4

# As a user: ids are mapped, so that owners are those of the image. Device nodes are left out, which
# only root can make.
PIPELINE = """set -eu
unshare --user --map-root-user --map-auto sh -euc '
    mkdir tree
    tar -xpf {place}/input.tar --numeric-owner --exclude="./dev/*" -C tree
    truncate -s {size} disk.raw
    mke2fs -q -t ext4 -d tree disk.raw'
qemu-img convert -c -O qcow2 -o compression_type=zstd disk.raw disk.qcow2
"""
CONVERT = "qemu-img convert -c -m 2 -W -O qcow2 {place}/input.raw disk.qcow2"
WRITE = "dd if={place}/input.dense of=disk.raw bs=4M conv=fsync status=none"
# As root: what diskimage-builder does once the tree is finished.
DIB = """set -eu
du --block-size=1 -x -s {place}/tree > size
truncate -s {size} disk.raw
device=$(losetup --show -f disk.raw)
trap 'umount -q mnt || true; losetup -d "$device"' EXIT
mkfs.ext4 -q "$device"
mkdir mnt
mount "$device" mnt
cp -ra {place}/tree/. mnt/
umount mnt
losetup -d "$device"
trap - EXIT
qemu-img convert -c -O qcow2 disk.raw disk.qcow2
"""


def fresh(name, owner):
    directory = f"{place}/rounds/{name}"
    os.makedirs(directory)
    os.chown(directory, owner.pw_uid, owner.pw_gid)
    return directory


def goldsmith(directory, *words):
    argv = [f"{place}/goldsmith", "build", "-n", "--progress", "plain", "-E", f"{here}/elements",
            "--image-size", str(GIB), "-o", "disk", *words, "debian-minimal", "vm", "bench"]
    env = {"PATH": PATH, "HOME": account.pw_dir, "LANG": "C.UTF-8", "GOLDSMITH_CACHE": CACHE,
           "DIB_RELEASE": release}
    return meter.run(argv, env, directory, f"{directory}/log", user)


def script(text, owner):
    """A side that runs a script of other programs."""
    def measured(directory):
        ready = text.format(place=place, size=GIB << 30)
        env = {"PATH": PATH, "HOME": owner.pw_dir, "LANG": "C.UTF-8"}
        name = user if owner is account else None
        return meter.run(["sh", "-c", ready], env, directory, f"{directory}/log", name)
    return measured


def clean(directory):
    """Removes what a side made; files of mapped ids are root's to remove."""
    subprocess.run(["rm", "-rf", directory], check=True)


def prepare():
    """The layers in the cache, and the same content as a tar, a tree, a disk, and its data alone."""
    os.makedirs(CACHE, exist_ok=True)
    os.chown(CACHE, account.pw_uid, account.pw_gid)
    directory = fresh("prepare", account)
    goldsmith(directory, "-t", "tar,raw")
    os.replace(f"{directory}/disk.tar", f"{place}/input.tar")
    os.replace(f"{directory}/disk.raw", f"{place}/input.raw")
    subprocess.run(["rm", "-rf", f"{place}/tree"], check=True)
    os.mkdir(f"{place}/tree")
    subprocess.run(["tar", "-xpf", f"{place}/input.tar", "--numeric-owner", "-C", f"{place}/tree"],
                   check=True)
    source = os.open(f"{place}/input.raw", os.O_RDONLY)
    end, at, written = os.fstat(source).st_size, 0, 0
    with open(f"{place}/input.dense", "wb") as dense:
        while at < end:
            try:
                at = os.lseek(source, at, os.SEEK_DATA)
            except OSError:
                break
            hole = os.lseek(source, at, os.SEEK_HOLE)
            while at < hole:
                piece = os.pread(source, min(4 << 20, hole - at), at)
                dense.write(piece)
                at += len(piece)
                written += len(piece)
    os.close(source)
    clean(directory)
    return {"tar": os.path.getsize(f"{place}/input.tar"), "data on the disk": written}


root = pwd.getpwuid(0)
SIDES = [
    ("goldsmith, zstd qcow2", account, "disk.qcow2",
     lambda d: goldsmith(d, "--codec", "zstd")),
    ("tar, mke2fs -d, qemu-img, zstd qcow2", account, "disk.qcow2", script(PIPELINE, account)),
    ("goldsmith, zlib qcow2", account, "disk.qcow2",
     lambda d: goldsmith(d, "--codec", "zlib")),
    ("qemu-img convert -c -m 2 -W alone, zlib", account, "disk.qcow2", script(CONVERT, account)),
    ("steps of diskimage-builder, zlib", root, "disk.qcow2", script(DIB, root)),
    ("goldsmith, raw", account, "disk.raw", lambda d: goldsmith(d, "-t", "raw")),
    ("dd of the data alone, with fsync", account, "disk.raw", script(WRITE, account)),
]
# What the first is to be of the second: a name, the sides, the least factor.
WANTED = [
    ("zstd: times faster than tar, mke2fs, qemu-img", SIDES[0][0], SIDES[1][0], 3),
    ("zlib: times faster than qemu-img alone", SIDES[2][0], SIDES[3][0], 1.5),
    ("zlib: times faster than the steps of diskimage-builder", SIDES[2][0], SIDES[4][0], 5),
    ("raw: times faster than the bytes alone", SIDES[5][0], SIDES[6][0], 0.5),
]


def table(result):
    medians = {name: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
               for name, runs in result["runs"].items()}
    content = result["content"]
    print(f"{result['date']}: {release}, tar of {content['tar'] >> 20} MiB, "
          f"{content['data on the disk'] >> 20} MiB of data on the disk, {rounds} rounds, "
          f"{os.cpu_count()} cores, Linux {platform.release()}, "
          f"load {result['load_at_start']:.1f} at the start")
    print("| side | median s (range) | CPU s | peak MiB | output MiB |")
    print("|---|---|---|---|---|")
    for name, row in medians.items():
        walls = [run["wall"] for run in result["runs"][name]]
        print(f"| {name} | {row['wall']:.2f} ({min(walls):.2f} to {max(walls):.2f}) | "
              f"{row['cpu']:.1f} | {row['rss_mib']:.0f} | {row['output_mib']:.0f} |")
    print()
    print("| target | wanted | measured | |")
    print("|---|---|---|---|")
    for what, own, other, least in WANTED:
        factor = medians[other]["wall"] / medians[own]["wall"]
        print(f"| {what} | at least {least} | {factor:.2f} | {'met' if factor >= least else 'missed'} |")
    peak = max(row["rss_mib"] for name, row in medians.items() if name.startswith("goldsmith"))
    print(f"| peak memory, MiB | under 512 | {peak:.0f} | {'met' if peak < 512 else 'missed'} |")
    sizes = [medians[SIDES[at][0]]["output_mib"] for at in (2, 4)]
    print(f"| size against diskimage-builder's | at most 1 | {sizes[0] / sizes[1]:.3f} | "
          f"{'met' if sizes[0] <= sizes[1] else 'missed'} |")


def main():
    os.chown(f"{place}/rounds", account.pw_uid, account.pw_gid)
    print("the layers, not measured", flush=True)
    content = prepare()
    load = os.getloadavg()[0]
    runs = {name: [] for name, *_ in SIDES}
    for number in range(int(rounds)):
        first = number * 3 % len(SIDES)
        for at, (name, owner, file, build) in enumerate(SIDES[first:] + SIDES[:first]):
            directory = fresh(f"{number}-{at}", owner)
            os.sync()
            run = build(directory)
            run["output_mib"] = os.stat(f"{directory}/{file}").st_blocks / 2048
            if file.endswith("qcow2"):
                subprocess.run(["qemu-img", "check", "-q", f"{directory}/{file}"], check=True)
            runs[name].append(run)
            clean(directory)
    result = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "release": release,
              "load_at_start": load, "content": content, "runs": runs}
    with open(output, "w") as file:
        json.dump(result, file, indent=1)
        file.write("\n")
    table(result)


main()
