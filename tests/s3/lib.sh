# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# For tests/s3/NN-*.sh: `. tests/s3/lib.sh`. $ZT_S3 is the gateway's endpoint (access key AK, secret SK), $ZT_GATEWAY its folder, $ZT_TMP
# one of the test's own; all come from tests/s3/run.sh.
. tests/integration/lib.sh

python=/usr/bin/python3
export PYTHONDONTWRITEBYTECODE=1 AWS_ACCESS_KEY_ID=AK AWS_SECRET_ACCESS_KEY=SK AWS_REGION=default
unset AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL AWS_ENDPOINT_URL_S3 http_proxy https_proxy all_proxy

# s3 METHOD PATH [BODY]: one signed request at $ZT_S3 (or $S3_AT), fails unless its status is 2xx; prints what comes back.
s3() {
	(cd "$ZT_TOP/tests/s3" && $python - "${S3_AT:-$ZT_S3}" "$@" <<-'P'
	import sys
	from s3req import S3
	status, _, body = S3(sys.argv[1]).request(sys.argv[2], sys.argv[3], body=sys.argv[4].encode() if len(sys.argv) > 4 else b"")
	sys.stdout.buffer.write(body)
	sys.exit(0 if 200 <= status < 300 else f"{sys.argv[2]} {sys.argv[3]}: status {status}")
	P
	)
}

proxies=()
end_proxies() {
	local p
	for p in "${proxies[@]}"; do
		kill "$p" 2>/dev/null || true
	done
}
trap end_proxies EXIT

# proxy_start FOLDER [UPSTREAM [OPTIONS...]]: a proxy with the options of proxy.py serve; its endpoint is in FOLDER/endpoint.
proxy_start() {
	local dir=$1 up=${2:-$ZT_S3}
	shift
	[ $# = 0 ] || shift
	mkdir -p "$dir"
	rm -f "$dir/endpoint" "$dir/ctl"
	$python "$ZT_TOP/tests/s3/proxy.py" serve "$up" "$dir" "$@" &
	proxies+=($!)
	for _ in $(seq 100); do
		[ ! -e "$dir/endpoint" ] || return 0
		sleep 0.1
	done
	fail "the proxy does not start"
}

# proxy FOLDER COMMAND [KEY=VALUE...]: see proxy.py.
proxy() { $python "$ZT_TOP/tests/s3/proxy.py" ctl "$@"; }

# at BUCKET/PREFIX [ENDPOINT [MORE]]: the URL of that place, in the gateway or at another endpoint.
at() { echo "s3://$1?endpoint=${2:-$ZT_S3}&region=default&plain-http=yes${3:-}"; }

# all_hit FOLDER: each rule that the proxy was given has hit; says how often.
all_hit() {
	local hits
	hits=$(proxy "$1" hits)
	jq -r 'map("\(.[0])\(if .[1] == "" then "" else " of \(.[1])" end) \(.[2])x") | "  hit: " + join(", ")' <<< "$hits"
	jq -e 'length > 0 and all(.[2] > 0)' <<< "$hits" > "$1/all_hit" || { echo "a fault has not hit: $hits" >&2; return 1; }
}
