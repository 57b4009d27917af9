#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Makes this Debian 12 machine ready to build and test zerofs. Needs root where something is missing; does nothing, and at once,
# where nothing is. Safe to run again.
# Usage: tests/setup.sh build|bench-engine|bench-s3|check|s3|demo|bench|all
#
# It installs Debian packages only, from where this machine's own package sources point, and says which. Backports are added
# from the same place in a package configuration of its own, so the machine's configuration stays as it was. Kernels and data
# are kept in $ZEROFS_CACHE (/var/cache/zerofs-test), unpacked there and not installed, but for the kernels' headers.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
what=${1:-all}
cache=${ZEROFS_CACHE:-/var/cache/zerofs-test}
apt_dir=$cache/apt
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

build_pkgs=(build-essential clang libsodium-dev libssl-dev libzstd-dev liburing-dev libjansson-dev
	libcurl4-openssl-dev libexpat1-dev pkg-config kmod)
check_pkgs=(git procps util-linux iproute2 bc cpio xz-utils zstd busybox-static e2fsprogs xfsprogs fio jq dmsetup
	psmisc openssl libcmocka-dev sparse clang-format shellcheck spin man-db
	nbdkit nbdkit-plugin-dev libnbd-bin qemu-utils
	python3 python3-nacl python3-zstandard)
bench_pkgs=(nbd-client)
bench_s3_pkgs=(s3backer)
s3_pkgs=(ceph-mon ceph-osd radosgw ceph-common fuse2fs)
qemu_pkgs=(qemu-system-x86)
qemu_least=1:9

say() { echo "setup: $*"; }
die() { echo "setup: $*" >&2; exit 1; }

case $what in
build) want=("${build_pkgs[@]}") guest='' ;;
bench-engine) want=("${build_pkgs[@]}" "${check_pkgs[@]}") guest='' ;;
bench-s3) want=("${build_pkgs[@]}" "${check_pkgs[@]}" "${bench_s3_pkgs[@]}") guest='' ;;
check) want=("${build_pkgs[@]}" "${check_pkgs[@]}") guest=yes ;;
s3) want=("${build_pkgs[@]}" "${check_pkgs[@]}" "${s3_pkgs[@]}") guest='' ;;
demo|bench) want=("${build_pkgs[@]}" "${check_pkgs[@]}" "${bench_pkgs[@]}") guest=yes ;;
all) want=("${build_pkgs[@]}" "${check_pkgs[@]}" "${bench_pkgs[@]}" "${bench_s3_pkgs[@]}" "${s3_pkgs[@]}") guest=yes ;;
*) die "no such set: $what (build, bench-engine, bench-s3, check, s3, demo, bench or all)" ;;
esac

# ---- what is missing ---------------------------------------------------------------------

missing_packages() {
	local p
	# `Status` rather than the exit status: a removed package with its configuration left is known too.
	for p in "$@"; do
		[ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || echo "$p"
	done
}

qemu_ready() {
	local v
	v=$(dpkg-query -W -f='${Version}' qemu-system-x86 2>/dev/null) || return 1
	dpkg --compare-versions "$v" ge $qemu_least
}

image_ready() { [ -e "$cache/kernels/$1/.complete" ]; }
headers_ready() { [ -e "/lib/modules/$1/build/Makefile" ]; }
source_ready() { [ -e "$cache/source/.complete" ]; }

need_install=() need_kernels=() need_qemu='' need_source=''
mapfile -t need_install < <(missing_packages "${want[@]}")
if [ -n "$guest" ]; then
	qemu_ready || need_qemu=yes
	for role in $("$here/vm/kernels.sh" roles); do
		kv=$("$here/vm/kernels.sh" version "$role")
		{ image_ready "$kv" && headers_ready "$kv"; } || need_kernels+=("$role")
	done
fi
case $what in
demo|all) source_ready || need_source=yes ;;
esac
[ -n "${need_install[*]}$need_qemu${need_kernels[*]}$need_source" ] || exit 0

# ---- where packages come from ------------------------------------------------------------

# shellcheck source=/dev/null
. /etc/os-release
[ "${ID:-}" = debian ] && [ "${VERSION_CODENAME:-}" = bookworm ] ||
	die "this installs Debian 12 packages, and this is ${PRETTY_NAME:-another system}; missing here: ${need_install[*]}"
[ "$(id -u)" = 0 ] || die "not root, and something is missing: ${need_install[*]} ${need_qemu:+${qemu_pkgs[*]}} ${need_kernels[*]/%/ kernel}
setup: run this as root once: tests/setup.sh $what"
case $cache in "$(dirname "$here")"/*) die "ZEROFS_CACHE must lie outside the checkout" ;; esac
mkdir -p "$apt_dir/parts" "$apt_dir/lists/partial" "$apt_dir/archives/partial" "$cache/kernels" "$cache/source"
exec 8> "$cache/setup.lock"
flock -n 8 || { say "waiting for another set-up to end"; flock 8; }

apt_opts=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt_dir/parts" -o "Dir::State::lists=$apt_dir/lists"
	-o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 -o APT::Get::List-Cleanup=true -o APT::Sandbox::User=root -q)
apt() { apt-get "${apt_opts[@]}" "$@"; }

# `apt-get indextargets` knows every form that package sources come in (one-line, deb822, mirror lists), once their lists are read.
debian_sources() { # FOLDER OF THE LISTS
	apt-get -o Dir::State::lists="$1" indextargets 'Created-By: Packages' | awk -F': ' '
		function out() {
			if (comp == "main" && rel ~ /^bookworm(-updates|-security|\/updates)?$/)
				print uri "\t" rel "\t" key
			uri = rel = comp = key = ""
		}
		$1 == "Repo-URI" { uri = substr($0, 11) }
		$1 == "Release" { rel = $2 }
		$1 == "Component" { comp = $2 }
		$1 == "Signed-By" { key = substr($0, 12) }
		/^$/ { out() }
		END { out() }' | sort -u
}

write_sources() {
	local uri rel key found='' lists=/var/lib/apt/lists keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	if ! debian_sources $lists | cut -f2 | grep -qx bookworm; then
		# Never updated, or cleaned up since: read this machine's own lists, to a place of ours.
		lists=$apt_dir/own-lists
		mkdir -p "$lists/partial"
		apt-get -o Dir::State::lists="$lists" -o APT::Sandbox::User=root -o Acquire::Retries=3 -q update > "$apt_dir/update.log" 2>&1 || true
	fi
	: > "$apt_dir/parts/zerofs.list.new"
	while IFS=$'\t' read -r uri rel key; do
		case $key in
		/*) ;;
		*) key=$keyring; [ -e "$key" ] || key='' ;;
		esac
		echo "deb ${key:+[signed-by=$key] }$uri $rel main" >> "$apt_dir/parts/zerofs.list.new"
		if [ "$rel" = bookworm ] && [ -z "$found" ]; then
			found=yes
			echo "deb ${key:+[signed-by=$key] }$uri bookworm-backports main contrib" >> "$apt_dir/parts/zerofs.list.new"
		fi
	done < <(debian_sources "$lists")
	[ -n "$found" ] || { cat "$apt_dir/update.log" >&2; die "no package source of Debian 12 (bookworm main) is configured on this machine"; }
	mv "$apt_dir/parts/zerofs.list.new" "$apt_dir/parts/zerofs.list"
}

say "reading package lists (private configuration in $apt_dir, yours is left alone)"
write_sources
apt update > "$apt_dir/update.log" 2>&1 || { cat "$apt_dir/update.log" >&2; die "package lists cannot be read"; }

install() { # OPTIONS... -- PACKAGES...
	local opts=()
	while [ "$1" != -- ]; do opts+=("$1"); shift; done
	shift
	say "installing Debian packages: $*"
	apt install -y --no-install-recommends "${opts[@]}" "$@" > "$apt_dir/install.log" 2>&1 ||
		{ tail -30 "$apt_dir/install.log" >&2; die "installing failed (all of it: $apt_dir/install.log)"; }
}

# fetch PACKAGE: its .deb into $apt_dir/archives, whose path is printed.
fetch() {
	(cd "$apt_dir/archives" && rm -f "${1}"_*.deb && apt download "$1" > "$apt_dir/download.log" 2>&1) ||
		{ tail -5 "$apt_dir/download.log" >&2; die "fetching $1 failed"; }
	echo "$apt_dir/archives/$1"_*.deb
}

# ---- packages, QEMU, kernels, data -------------------------------------------------------

if [ ${#need_install[@]} -gt 0 ]; then
	install -- "${need_install[@]}"
fi
if [ -n "$need_qemu" ]; then
	install -t bookworm-backports -- "${qemu_pkgs[@]}"
fi

known() { apt-cache "${apt_opts[@]}" show "$1" > /dev/null 2>&1; }

# The version of a role that can be had: the pinned one, else the newest of its series, which is recorded and said.
obtainable() {
	local pinned series kv
	pinned=$("$here/vm/kernels.sh" pinned "$1")
	series=$("$here/vm/kernels.sh" series "$1")
	if known "linux-image-$pinned" && known "linux-headers-$pinned"; then
		echo "$pinned"
		return
	fi
	kv=$(apt-cache "${apt_opts[@]}" search --names-only "^linux-headers-${series//./\\.}\.[0-9.]+(\+[a-z0-9]+)?(-[0-9]+)?-amd64\$" |
		sed 's/^linux-headers-//; s/ .*//' | sort -V | tail -1)
	[ -n "$kv" ] && known "linux-image-$kv" || die "no $series kernel is to be had from this machine's package sources"
	say "kernel $pinned is no longer to be had; taking $kv, the newest of $series" >&2
	echo "$kv"
}

for role in "${need_kernels[@]}"; do
	pinned=$("$here/vm/kernels.sh" pinned "$role")
	kv=$("$here/vm/kernels.sh" version "$role")
	# What is already here stays in use, even where the mirror has moved on.
	if ! image_ready "$kv" || ! headers_ready "$kv"; then
		kv=$(obtainable "$role")
	fi
	headers_ready "$kv" || install -- "linux-headers-$kv"
	if ! image_ready "$kv"; then
		say "fetching and unpacking kernel $kv into $cache/kernels (not installed)"
		deb=$(fetch "linux-image-$kv")
		rm -rf "$cache/kernels/$kv"
		mkdir -p "$cache/kernels/$kv"
		dpkg -x "$deb" "$cache/kernels/$kv"
		depmod -b "$cache/kernels/$kv" "$kv"
		touch "$cache/kernels/$kv/.complete"
		rm -f "$deb"
	fi
	touch "$cache/kernels/in-place-of"
	awk -v p="$pinned" '$1 != p' "$cache/kernels/in-place-of" > "$cache/kernels/in-place-of.new"
	[ "$kv" = "$pinned" ] || echo "$pinned $kv" >> "$cache/kernels/in-place-of.new"
	mv "$cache/kernels/in-place-of.new" "$cache/kernels/in-place-of"
done

if [ -n "$need_source" ]; then
	pkg=linux-source-6.1
	say "fetching $pkg, the real source tree of the demonstration, into $cache/source (not installed)"
	deb=$(fetch $pkg)
	rm -rf "$cache/source"
	mkdir -p "$cache/source/unpacked"
	dpkg -x "$deb" "$cache/source/unpacked"
	mv "$cache/source/unpacked"/usr/src/linux-source-*.tar.xz "$cache/source/"
	rm -rf "$cache/source/unpacked" "$deb"
	touch "$cache/source/.complete"
fi
say "ready"
