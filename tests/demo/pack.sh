#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes the demonstration's data: a real source tree of 300 MB or more as tree.tar, the sha256 sums
# of its files, and its size, on a small ext4 image that the guest gets as a read-only disk.
#
#   pack.sh TARBALL OUT	TARBALL: linux-source-*.tar.xz; OUT: folder for data/ and data.img
set -euo pipefail

TARBALL=$1 OUT=$2
WANT=$((300 * 1000 * 1000))
# Whole subsystems in this order until there is enough: small sources first, so that the file count
# is that of a real tree, then the large generated headers.
PARTS=(block crypto fs init ipc kernel lib mm security sound include net drivers/block drivers/md
	drivers/nvme drivers/net drivers/gpu/drm)

[ -f "$OUT/data.img" ] && [ -f "$OUT/data/size" ] && exit 0
rm -rf "$OUT"
mkdir -p "$OUT/tree" "$OUT/data"
echo "packing the demonstration's source tree from $(basename "$TARBALL") (once)"
TOP=$(tar -tf "$TARBALL" 2>/dev/null | head -1 | cut -d/ -f1) || true
tar -xf "$TARBALL" -C "$OUT/tree" --strip-components=1 "${PARTS[@]/#/$TOP/}"
cd "$OUT/tree"
size() { find . -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%d", s }'; }
# What lies beyond WANT goes, subsystem by subsystem from the end.
for p in "${PARTS[@]}"; do printf '%s %s\n' "$(find "$p" -type f -printf '%s\n' | awk '{ s += $1 } END { printf "%d", s }')" "$p"; done > ../sizes
SUM=0
while read -r s p; do
	if ((SUM >= WANT)); then rm -rf "$p"; fi
	SUM=$((SUM + s))
done < ../sizes
BYTES=$(size)
((BYTES >= WANT)) || { echo "pack.sh: only $BYTES bytes in $TARBALL" >&2; exit 1; }
find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum > ../data/SHA256SUMS
tar -cf ../data/tree.tar .
echo "$BYTES" > ../data/size
cd ..
rm -rf tree sizes
MB=$(($(du -sm data | cut -f1) * 11 / 10 + 16))
truncate -s ${MB}M data.img.tmp
mkfs.ext4 -q -F -m 0 -d data data.img.tmp
mv data.img.tmp data.img
