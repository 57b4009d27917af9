# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: 200 attaches of four hosts that take one volume from each other on the gateway, while the proxy has PUTs arrive late, some
# of them after a take-over: nothing is lost that was flushed, nothing comes back (tests/s3/attaches.c).
# slow
# limit: 600
#
# SEED=n runs another one.
. tests/s3/lib.sh

attaches=$ZT_TOP/build/tests/s3/attaches
seed=${SEED:-1}
dir=$ZT_TMP/proxy
bucket=attaches-$$
s3 PUT "/$bucket" > "$ZT_TMP/out"
trap 'rc=$?; end_proxies; [ $rc = 0 ] || echo "to have it again: SEED=$seed tests/s3/run.sh tests/s3/34-attaches.sh"' EXIT
proxy_start "$dir" "$ZT_S3" --seed "$seed"
url=$(at "$bucket/v" "$(cat "$dir/endpoint")")
$attaches format "$url"
for r in "late ms=50 upto=4000 p=.15" "hold ms=50 upto=400 p=.1" "again ms=0 upto=4000 p=.15" "reset_before p=.1" "slowdown p=.02" \
	"reset_after p=.05" "error_after p=.05"; do
	# shellcheck disable=SC2086
	proxy "$dir" add op=PUT fault=$r > "$dir/id"
done
mkdir "$dir/hosts"
timeout 540 $attaches race "$url" "$(at "$bucket/v")" "$dir/hosts" "$seed" "${ATTACHES:-200}" 4
all_hit "$dir"

# How many PUTs had been sent before an attach began, and landed when it was through: late ones of an earlier owner.
$python - "$dir" <<'P'
import json
import sys
folder = sys.argv[1]
with open(f"{folder}/hosts/attaches") as f:
    took = [(int(a) / 1e6, int(b) / 1e6) for a, b in map(str.split, f) if b != "0"]
with open(f"{folder}/log") as f:
    puts = [e for e in map(json.loads, f) if e.get("op") == "PUT" and "landed" in e]
late = [e for e in puts if any(e["came"] < began and ended < e["landed"] for began, ended in took)]
of = {s: sum(e["status"] == s for e in late) for s in (200, 412)}
print(f"  {len(late)} PUTs landed after a take-over that began when they were on their way: {of[200]} found their name free, {of[412]} did not")
if not of[200] or not of[412]:
    sys.exit("no late PUT has met a take-over")
P
