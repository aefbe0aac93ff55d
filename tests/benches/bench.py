"""The measured part of main_job; see there. Runs as root in namespaces of its own.

usage: bench.py PLACE OUTPUT ROUNDS STARTS USER RELEASE NAME=URL...
"""

import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import time

import meter
import namespace
import report
import sandbox

place, output, rounds, starts, user, release = sys.argv[1:7]
here = os.path.dirname(os.path.abspath(__file__))
goldsmith = f"{place}/bin/goldsmith"
path = f"{place}/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
account = pwd.getpwnam(user)
mirror = None


def fresh(name, owner=None):
    """A directory that was never used: extraction is slow where much was removed."""
    directory = f"{place}/rounds/{name}"
    os.makedirs(directory)
    if owner:
        os.chown(directory, owner.pw_uid, owner.pw_gid)
    return directory


def elements(directory, owner=None):
    """A copy of the bench's elements that may be changed."""
    copy = f"{directory}/elements"
    shutil.copytree(f"{here}/elements", copy)
    if owner:
        subprocess.run(["chown", "-R", f"{owner.pw_uid}:{owner.pw_gid}", copy], check=True)
    return copy


def change_hook(directory):
    """What a person does between two builds."""
    hook = f"{directory}/elements/bench/post-install.d/50-bench"
    with open(hook) as file:
        text = file.read()
    with open(hook, "w") as file:
        file.write(text.replace("revision 1", "revision 2"))


def environment(home, **more):
    """Nothing of the caller's environment but what both sides get alike."""
    main, security = f"{mirror}/debian", f"{mirror}/debian-security"
    sources = f"default:deb {main} {release} main\nsecurity:deb {security} {release}-security main"
    return {
        "PATH": path, "HOME": home, "LANG": "C.UTF-8", "USER": os.path.basename(home),
        "DIB_RELEASE": release, "DIB_DISTRIBUTION_MIRROR": main,
        "DIB_DEBIAN_SECURITY_MIRROR": security, "DIB_DEBIAN_SUITES": "security",
        "DIB_APT_SOURCES_CONF": sources, **more,
    }


def build_goldsmith(directory, codec):
    """One build; the cache lies beside the output."""
    argv = [goldsmith, "build", "-n", "--progress", "plain", "--codec", codec,
            "--mirror", f"{mirror}/debian", "-E", "elements", "-o", "image",
            "debian-minimal", "vm", "bench"]
    env = environment(account.pw_dir, GOLDSMITH_CACHE=f"{directory}/cache")
    return finished(meter.run(argv, env, directory, f"{directory}/log", user), directory)


def build_dib(directory, cache, **more):
    """One build; `cache` keeps its downloaded packages and its bootstrapped base."""
    argv = ["disk-image-create", "-n", "-t", "qcow2", "-o", "image", "debian-minimal", "vm", "bench"]
    os.makedirs(f"{directory}/tmp", exist_ok=True)
    env = environment("/root", ELEMENTS_PATH=f"{directory}/elements", DIB_IMAGE_CACHE=cache,
                      TMP_DIR=f"{directory}/tmp", **more)
    return finished(meter.run(argv, env, directory, f"{directory}/log"), directory)


def finished(result, directory):
    """Adds what the image is like."""
    image = f"{directory}/image.qcow2"
    result["image_mib"] = os.stat(image).st_size / 2**20
    subprocess.run(["qemu-img", "check", "-q", image], check=True)
    return result


def goldsmith_round(name, codec):
    directory = fresh(name, account)
    elements(directory, account)
    yield "cold", build_goldsmith(directory, codec)
    yield "unchanged", build_goldsmith(directory, codec)
    change_hook(directory)
    yield "hook changed", build_goldsmith(directory, codec)


def dib_round(name):
    directory = fresh(name)
    elements(directory)
    yield "cold", build_dib(directory, f"{directory}/cache")
    # It does everything again, changed or not, so one run stands for both.
    warm = {"cache": f"{place}/rounds/warm-dib/cache", "DIB_DEBIAN_USE_DEBOOTSTRAP_CACHE": "1"}
    change_hook(directory)
    result = build_dib(directory, **warm)
    yield "unchanged", result
    yield "hook changed", result


def mmdebstrap_round(name, packages):
    directory = fresh(name)
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}",
            "--aptopt=APT::Install-Recommends \"0\"", release, f"{directory}/base.tar",
            f"deb {mirror}/debian {release} main",
            f"deb {mirror}/debian-security {release}-security main"]
    env = environment("/root", TMPDIR=directory)
    result = meter.run(argv, env, directory, f"{directory}/log")
    result["image_mib"] = os.stat(f"{directory}/base.tar").st_size / 2**20
    yield "cold", result


def packages_of(directory):
    """Names of what an image has installed, from the manifest that element dpkg writes."""
    with open(f"{directory}/image.d/dib-manifests/dib-manifest-dpkg-image") as file:
        return set(re.findall(r'"package": "([^":]+)', file.read()))


def start_mirror(upstreams):
    global mirror
    os.makedirs(f"{place}/mirror", exist_ok=True)
    portfile = f"{place}/rounds/port"
    server = subprocess.Popen(
        [sys.executable, f"{here}/mirror.py", f"{place}/mirror", portfile, *upstreams])
    while not os.path.exists(portfile):
        if server.poll() is not None:
            raise SystemExit("the mirror on loopback does not start")
        time.sleep(0.05)
    with open(portfile) as file:
        mirror = f"http://127.0.0.1:{file.read()}"


def main(note):
    start_mirror(sys.argv[7:])
    frozen = f"{place}/mirror/frozen"
    if os.path.exists(frozen):
        os.unlink(frozen)
    print("warm-up, not measured: fills the mirror on loopback", flush=True)
    warm_goldsmith, warm_dib = fresh("warm-goldsmith", account), fresh("warm-dib")
    elements(warm_goldsmith, account)
    elements(warm_dib)
    build_goldsmith(warm_goldsmith, "zstd")
    build_dib(warm_dib, f"{warm_dib}/cache", DIB_DEBOOTSTRAP_CACHE="1")
    ours, theirs = packages_of(warm_goldsmith), packages_of(warm_dib)
    for _ in mmdebstrap_round("warm-mmdebstrap", sorted(ours)):
        pass
    open(frozen, "w").close()

    facts = report.facts(goldsmith, rounds, release, note)
    facts["packages"] = {"goldsmith": len(ours), "diskimage-builder": len(theirs),
                         "only goldsmith": sorted(ours - theirs),
                         "only diskimage-builder": sorted(theirs - ours)}
    systems = [
        ("goldsmith zlib", lambda name: goldsmith_round(name, "zlib")),
        ("diskimage-builder", dib_round),
        ("goldsmith zstd", lambda name: goldsmith_round(name, "zstd")),
        ("mmdebstrap tar", lambda name: mmdebstrap_round(name, sorted(ours))),
    ]
    runs = []
    for number in range(int(rounds)):
        for index in range(len(systems)):
            system, one_round = systems[(index + number) % len(systems)]
            name = f"{number + 1}-{system.replace(' ', '-')}"
            for scenario, result in one_round(name):
                runs.append({"round": number + 1, "system": system, "scenario": scenario, **result})
                print(f"round {number + 1}: {system}, {scenario}: {result['wall']:.1f} s",
                      flush=True)
    # The tree is the one of mmdebstrap's tar.
    tree = fresh("sandbox", account)
    sandboxes = sandbox.compare(goldsmith, user, tree, f"{place}/rounds/warm-mmdebstrap/base.tar",
                                int(starts))
    facts["load_at_end"] = os.getloadavg()
    results = report.results(facts, runs, sandboxes)
    with open(output, "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    print(report.table(results))
    print(f"\nwritten to {output}")


try:
    main(namespace.enter())
finally:
    namespace.leave(place)
