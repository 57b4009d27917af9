#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes driver.json and a table of what the guest of `make bench-driver` left: driver.py OUT driver.json

Exit status 1 if a figure that must hold does not.
"""
import datetime
import json
import os
import platform
import sys

TARGETS = ("zerofs", "nbd", "ublk")
MUST_HOLD = {"randread_4k_qd32_vs_nbd": 2.0, "randwrite_4k_qd32_vs_nbd": 2.0}


def load(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    accel = "tcg"
    try:
        with open("build/vm/accel", encoding="utf-8") as f:
            accel = f.read().split(",")[0].strip()
    except FileNotFoundError:
        pass
    return f"{model}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}; QEMU guest ({accel}), 2 vCPUs"


class Run:
    """One fio job on one target: the best of its rounds, since all that disturbs a round makes it slower; counts are of all."""

    def __init__(self, bases):
        self.iops = 0
        counts = {}
        for base in bases:
            fio = load(base + ".fio")["jobs"][0]
            if fio["error"]:
                sys.exit(f"driver.py: {base}: fio met an error")
            side = fio["read"] if fio["read"]["total_ios"] else fio["write"]
            self.iops = max(self.iops, side["iops"])
            before, after = load(base + ".before"), load(base + ".after")
            for what, value in after.items():
                counts[what] = counts.get(what, 0) + value - before[what]
        done = counts.pop("requests", 0)
        self.per_io = {what: value / done for what, value in counts.items()}


def collect(out):
    bases = {}
    for name in sorted(os.listdir(out)):
        if name.endswith(".fio"):
            target, job, queues, _, _ = name.split(".")
            bases.setdefault((target, job, int(queues)), []).append(os.path.join(out, name[:-4]))
    return {key: Run(value) for key, value in bases.items()}


def label(job, queues):
    return job if queues == 1 else f"{job}_{queues}q"


def make_figures(runs):
    figures = []

    def add(name, value, unit, better):
        figures.append({"name": name, "value": round(value, 4), "unit": unit, "better": better})

    jobs = sorted({(q, j) for _, j, q in runs})
    for queues, job in jobs:
        for target in TARGETS:
            run = runs[(target, job, queues)]
            name = f"{label(job, queues)}_{target}"
            add(name + "_iops", run.iops, "1/s", "higher")
            for what, value in run.per_io.items():
                add(f"{name}_{what}_per_io", value, "1", "lower")
        for other in TARGETS[1:]:
            ratio = runs[("zerofs", job, queues)].iops / runs[(other, job, queues)].iops
            add(f"{label(job, queues)}_vs_{other}", ratio, "x", "higher")
    return figures


def engine_figures(out):
    """Copies per byte of the real engine: what the kernel says it copied, what the daemon was seen to copy, over what was moved."""
    figures = []
    for kind in ("read", "write"):
        before = load(os.path.join(out, f"engine.{kind}.before"))
        after = load(os.path.join(out, f"engine.{kind}.after"))
        d = {k: after[k] - before[k] for k in after}
        if d["reissued"]:
            sys.exit(f"driver.py: {d['reissued']} requests were reissued during the {kind} job, which spoils the figure")
        if not d["bytes"]:
            sys.exit(f"driver.py: the {kind} job moved nothing")
        value = (d["kernel_copied"] + d["daemon_copied"]) / d["bytes"]
        figures.append({"name": f"{kind}_copied_per_byte", "value": round(value, 4), "unit": "1", "better": "lower"})
    return figures


def table(runs, figures):
    by_name = {f["name"]: f["value"] for f in figures}
    print(f"\n{'job':24} {'q':>2} {'zerofs':>9} {'nbd':>9} {'ublk':>9} {'vs nbd':>8} {'vs ublk':>8}"
          f"   {'syscalls per I/O':>18}  {'wakeups per I/O':>18}")
    print(f"{'':24} {'':>2} {'IOPS':>9} {'IOPS':>9} {'IOPS':>9} {'':>8} {'':>8}   {'zerofs':>9}{'ublk':>9}  {'zerofs':>9}{'ublk':>9}")
    for queues, job in sorted({(q, j) for _, j, q in runs}):
        z, n, u = (runs[(t, job, queues)] for t in TARGETS)
        name = label(job, queues)
        print(f"{job:24} {queues:2} {z.iops:9.0f} {n.iops:9.0f} {u.iops:9.0f}"
              f" {by_name[name + '_vs_nbd']:7.2f}x {by_name[name + '_vs_ublk']:7.2f}x  "
              f" {z.per_io['syscalls']:9.3f}{u.per_io['syscalls']:9.3f}  {z.per_io['wakeups']:9.3f}{u.per_io['wakeups']:9.3f}")
    for kind in ("read", "write"):
        print(f"real engine, hot {kind}s: {by_name[kind + '_copied_per_byte']:.3f} bytes copied per byte by kernel and daemon together")


def main():
    out, target = sys.argv[1:]
    runs = collect(out)
    if not runs:
        sys.exit("driver.py: no results")
    figures = make_figures(runs) + engine_figures(out)
    result = {
        "machine": machine(),
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "figures": figures,
    }
    with open(target + ".new", "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    os.replace(target + ".new", target)
    table(runs, figures)
    bad = 0
    for name, least in MUST_HOLD.items():
        value = next(f["value"] for f in figures if f["name"] == name)
        if value < least:
            bad = 1
            print(f"MISSED: {name} is {value:.2f}, must be at least {least}")
    print(f"\n{len(figures)} figures in {target}")
    return bad


if __name__ == "__main__":
    sys.exit(main())
