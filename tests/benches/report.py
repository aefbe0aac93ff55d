"""What main_job says about the machine, and its table."""

import os
import platform
import statistics
import subprocess
import time

TARGETS = [
    ("cold, zlib: times faster than diskimage-builder", "at least 2.5",
     lambda r: r["ratios"]["cold"]["goldsmith zlib"], lambda v: v >= 2.5),
    ("unchanged, s", "under 1",
     lambda r: r["medians"]["unchanged"]["goldsmith zstd"]["wall"], lambda v: v < 1),
    ("hook changed to finished zstd qcow2, s", "under 15",
     lambda r: r["medians"]["hook changed"]["goldsmith zstd"]["wall"], lambda v: v < 15),
    ("/bin/true: times runc", "at most 1.5",
     lambda r: r["sandbox"]["ratio"], lambda v: v <= 1.5),
]


def line(*argv):
    """First line that a program says."""
    done = subprocess.run(argv, capture_output=True, text=True)
    return (done.stdout + done.stderr).strip().split("\n")[0]


def of_file(name, key):
    with open(name) as file:
        for row in file:
            if row.startswith(key):
                return row.split(":", 1)[1].strip()
    return "unknown"


def facts(goldsmith, rounds, release, note):
    """Machine, versions, method."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cpu": of_file("/proc/cpuinfo", "model name"), "cores": os.cpu_count(),
        "memory": of_file("/proc/meminfo", "MemTotal"), "kernel": platform.release(),
        "load_at_start": os.getloadavg(), "rounds": int(rounds), "release": release,
        "device_mapper": note,
        "versions": {
            "goldsmith": line(goldsmith, "--version"), "diskimage-builder": "3.43.0",
            "mmdebstrap": line("mmdebstrap", "--version"), "runc": line("runc", "--version"),
            "qemu-img": line("qemu-img", "--version"),
        },
    }


def results(facts_, runs, sandboxes):
    """Medians over the rounds, and how many times longer diskimage-builder takes."""
    medians, ratios = {}, {}
    for scenario in dict.fromkeys(run["scenario"] for run in runs):
        medians[scenario] = {}
        for system in sorted({run["system"] for run in runs if run["scenario"] == scenario}):
            chosen = [r for r in runs if (r["system"], r["scenario"]) == (system, scenario)]
            keys = ["wall", "cpu", "cpu_user", "cpu_system", "rss_mib", "image_mib"]
            walls = [run["wall"] for run in chosen]
            row = {key: statistics.median(run[key] for run in chosen) for key in keys
                   if key in chosen[0]}
            medians[scenario][system] = {**row, "fastest": min(walls), "slowest": max(walls)}
        theirs = medians[scenario]["diskimage-builder"]["wall"]
        ratios[scenario] = {system: theirs / row["wall"]
                            for system, row in medians[scenario].items()}
    return {"facts": facts_, "medians": medians, "ratios": ratios, "sandbox": sandboxes,
            "runs": runs}


def table(results_):
    """Markdown that people read as it is."""
    facts_ = results_["facts"]
    packages = facts_["packages"]
    out = [
        f"{facts_['date']}: {facts_['cpu']}, {facts_['cores']} cores, {facts_['memory']}, "
        f"Linux {facts_['kernel']}; {facts_['rounds']} rounds of {facts_['release']}, medians",
        f"device-mapper: {facts_['device_mapper']}",
        f"load: {facts_['load_at_start'][0]:.1f} at start, {facts_['load_at_end'][0]:.1f} at end",
        f"packages: {packages['goldsmith']} goldsmith, {packages['diskimage-builder']} "
        f"diskimage-builder; only goldsmith: {' '.join(packages['only goldsmith']) or '-'}; "
        f"only diskimage-builder: {' '.join(packages['only diskimage-builder']) or '-'}",
        "",
        "| scenario | system | wall s (range) | dib/this | CPU s | peak MiB | output MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for scenario, rows in results_["medians"].items():
        for system, row in rows.items():
            out.append(
                f"| {scenario} | {system} | {row['wall']:.2f} ({row['fastest']:.2f} to "
                f"{row['slowest']:.2f}) | {results_['ratios'][scenario][system]:.1f} | "
                f"{row['cpu']:.1f} | {row['rss_mib']:.0f} | {row['image_mib']:.0f} |")
    box = results_["sandbox"]
    out += [
        "", f"/bin/true, {box['starts']} starts each, alternating: goldsmith "
        f"{box['median']['goldsmith']:.1f} ms, runc {box['median']['runc']:.1f} ms", "",
        "| target | wanted | measured | |", "|---|---|---|---|",
    ]
    for what, wanted, value, holds in TARGETS:
        measured = value(results_)
        verdict = "met" if holds(measured) else "missed"
        out.append(f"| {what} | {wanted} | {measured:.2f} | {verdict} |")
    return "\n".join(out)
