#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# `make demo`: gets the demonstration's data ready and runs guest.sh, in QEMU or (DEMO=host) right here.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${ZEROFS_CACHE:-/var/cache/zerofs-test}
cd "$top"

tarball=$(find "$cache/source" -name "linux-source-*.tar.xz" 2>/dev/null | sort | tail -1)
[ -n "$tarball" ] || { echo "demo: no source tree in $cache/source; run: make setup" >&2; exit 1; }
data=$cache/demo/$(basename "$tarball" .tar.xz)
"$here/pack.sh" "$tarball" "$data"

work=build/demo
mkdir -p $work
rm -f $work/*.img

if [ "${DEMO:-}" = host ]; then
	echo "demo: on this machine's own kernel, $(uname -r)"
	[ "$(id -u)" = 0 ] || { echo "demo: DEMO=host must be run as root" >&2; exit 1; }
	if ! modinfo zerofs > /dev/null 2>&1; then
		echo "demo: DEMO=host: no module for $(uname -r); run: make module KV=$(uname -r) && make dkms-install" >&2
		exit 1
	fi
	mkdir -p $work/store
	truncate -s 3G $work/plain.img
	loop=$(losetup --find --show --direct-io=on $work/plain.img)
	status=0
	bash "$here/guest.sh" "$data/data" "$top/$work/store" "$loop" "$top/build/zerofs" || status=$?
	losetup -d "$loop"
	rm -rf $work/store $work/plain.img
	exit $status
fi

echo "demo: in QEMU (DEMO=host uses this machine's kernel)"
truncate -s 4G $work/store.img
truncate -s 3G $work/plain.img
status=0
tests/vm/run.sh -v -t 1200 -o $work/vm -d "$data/data.img:data:ro" -d $work/store.img:store -d $work/plain.img:plain \
	tests/demo/vm.sh || status=$?
rm -f $work/*.img
[ $status = 0 ] || echo "demo: FAILED (console and log: $work/vm)" >&2
exit $status
