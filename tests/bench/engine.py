#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes a JSON file and tables of what the programs of `make bench-engine` and `make bench-s3` printed: engine.py OUT FILE.json

Exit status 1 if a figure that must hold does not.
"""
import datetime
import json
import os
import platform
import sys

# Figure: the least (+) or the most (-) that it may be.
MUST_HOLD = {
    "fsync_4k_vs_file": ("+", 0.70),
    "fsync_4k_p99_vs_file": ("-", 1.5),
    "flush_store_requests": ("-", 2),
    "flush_vs_put": ("-", 1.5),
    "ingest_vs_upload": ("+", 0.85),
    "ingest_cpu_vs_codec": ("-", 1.3),
    "ingest_cpu_journal_vs_codec": ("-", 1.6),
    "randwrite_4k_vs_disk": ("+", 0.5),
    "write_amp_8k": ("-", 1.1),
    "puts_per_gib_4k": ("-", 160),
    "rss_vs_cap": ("-", 1.0),
    "attach_10m_vs_10k": ("-", 1.5),
    "cold_4k_p99_vs_get": ("-", 1.3),
    "cold_qd32_vs_ceiling": ("+", 0.9),
    "cold_fetched_per_byte": ("-", 8.2),
    "cold_seq_vs_get": ("+", 0.85),
    "hot_nbd_4k_vs_memory": ("+", 0.7),
    "hot_qd1_us": ("-", 10),
    "randwrite_4k_vs_s3backer": ("+", 20),
    "idle_requests_5min": ("-", 1),
}


# What a job asked of the store: requests, and bytes of bodies.
REQUESTS = ("put", "get", "head", "list", "delete")
BYTES = ("bytes_up", "bytes_down")


def machine():
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{model}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}"


def load(out):
    """Figures and jobs as they go into the file, and (job, peak, cap) of each job that says what memory it took."""
    figures, jobs, memory = [], [], []
    for name in sorted(os.listdir(out)):
        with open(os.path.join(out, name), encoding="utf-8") as f:
            for line in f:
                kind, *rest = line.rstrip("\n").split("\t")
                if kind == "figure":
                    figures.append({"name": rest[0], "value": float(rest[1]), "unit": rest[2], "better": rest[3]})
                elif kind == "memory":
                    memory.append((rest[0], int(rest[1]), int(rest[2])))
                elif kind == "job":
                    jobs.append({"job": rest[0], "system": rest[1], "ops_per_s": float(rest[3]), "mb_per_s": float(rest[4]),
                                 **{k: int(v) for k, v in zip(("ops",) + REQUESTS + BYTES, rest[2:3] + rest[5:])}})
    return figures, jobs, memory


def verdict(figure):
    if figure["name"] not in MUST_HOLD:
        return None, ""
    sign, bound = MUST_HOLD[figure["name"]]
    met = figure["value"] >= bound if sign == "+" else figure["value"] <= bound
    return met, f"{'met' if met else 'MISSED'}, must be {bound} at {'least' if sign == '+' else 'most'}"


def print_jobs(jobs):
    print(f"\n{'job':34} {'system':13} {'ops':>8} {'ops/s':>9} {'MB/s':>8} " + " ".join(f"{k.upper():>6}" for k in REQUESTS) +
          f" {'MB up':>8} {'MB down':>8} {'requests/op':>11}")
    for j in sorted(jobs, key=lambda j: [x["job"] for x in jobs].index(j["job"])):
        print(f"{j['job']:34} {j['system']:13} {j['ops']:8} {j['ops_per_s']:9.1f} {j['mb_per_s']:8.2f} " +
              " ".join(f"{j[k]:6}" for k in REQUESTS) + f" {j['bytes_up'] / 1e6:8.1f} {j['bytes_down'] / 1e6:8.1f}" +
              f" {sum(j[k] for k in REQUESTS) / j['ops']:11.4f}")


def main():
    out, target = sys.argv[1:]
    figures, jobs, memory = load(out)
    for job, peak, cap in memory:
        print(f"  memory: {job}: {peak >> 20} MiB with the arena, of {cap >> 20} MiB")
    if memory:
        worst = max(peak / cap for _, peak, cap in memory)
        figures.append({"name": "rss_vs_cap", "value": round(worst, 4), "unit": "x", "better": "lower"})
    if not figures:
        sys.exit("engine.py: no results")
    result = {
        "machine": machine(),
        "when": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "figures": figures,
    }
    if jobs:
        result["jobs"] = jobs
        print_jobs(jobs)
    with open(target + ".new", "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    os.replace(target + ".new", target)
    print(f"\n{'figure':28} {'value':>9} {'unit':6}")
    missed = 0
    for figure in figures:
        met, words = verdict(figure)
        missed += met is False
        print(f"{figure['name']:28} {figure['value']:9.3f} {figure['unit']:6} {words}")
    print(f"\n{len(figures)} figures in {target}")
    if missed:
        print(f"{target}: {missed} MISSED", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
