# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: each command that takes a store's URL, and the plugin, with each thing that can be wrong about a store: one line that says
# what, a status that is not 0, the bucket as it was to the byte, and nothing made on this host. A region that a store corrects is followed.
# limit: 240
. tests/s3/nbd.sh
s3 PUT /wrong > /dev/null
ok=$(at wrong/vol)
zerofs format --size 64M --flush local --journal journal --journal-size 64M --key-file key "$ok" > /dev/null
head -c 32 /dev/urandom > newkey
head -c 32 /dev/urandom > second
zerofs key add --key-file key --new-key-file second "$ok" > /dev/null
proxy_start "$dir/proxy"
via=$(cat proxy/endpoint)

# All there is: the bucket's names, sizes and sums, and this folder, but for what this test keeps in it.
state() {
	s3 GET /wrong | grep -oE '<(Key|ETag|Size)>[^<]*'
	find . -type f -not -path './proxy*' -not -name '*.out' -exec sha256sum {} + | sort
}

# What takes a URL is what says so in its usage; a new command does not go unasked. (probe writes, and has a test of its own.)
with_url=
for c in $(zerofs help | sed -n 's/^  \([a-z]*\) .*/\1/p'); do
	! zerofs "$c" --help | head -1 | grep -q URL || with_url+=" $c"
done
[ "$(tr ' ' '\n' <<< "$with_url" | grep -vx probe | sort | xargs)" = 'format journal key serve' ] || fail "a command that is not asked here:$with_url"
# serve asks for the module before it asks the store: without one, the plugin stands for it.
commands=("format --size 64M" "key list" "key add --new-key-file newkey" "key remove" "key rotate" "journal create --size 64M"
	"journal show journal" "journal export journal" "journal discard --yes journal")

# each STATUS PATTERN URL: all commands refuse that; for format, whose place is to be empty, its /vol is /new.
each() {
	local status=$1 pattern=$2 url=$3 c after words
	for c in "${commands[@]}"; do
		after=() words=()
		read -ra words <<< "$c"
		case $c in
		format*) url=${3/\/vol\?/\/new\?} ;;
		*remove) url=$3 after=(1) ;;
		*create*) url=$3 after=(made) ;;
		*export*) url=$3 after=(made) ;;
		*) url=$3 ;;
		esac
		refused "$status" "$pattern" zerofs "${words[@]}" --key-file key "$url" "${after[@]}" > ok.out || fail "$(cat ok.out): $c"
	done
	if [ "$status" = 2 ]; then
		refused 2 "$pattern" zerofs serve --key-file key "$url" > ok.out || fail "$(cat ok.out): serve"
	fi
	cat ok.out
}
# few STATUS PATTERN URL: one that writes and one that reads. All come by the same way, and some refusals take tries.
few() {
	refused "$1" "$2" zerofs format --size 64M --key-file key "${3/\/vol\?/\/new\?}"
	refused "$1" "$2" zerofs key list --key-file key "$3" > ok.out || fail "$(cat ok.out): key list"
}
# plugin PATTERN URL: it ends with status 1 and a line that matches.
plugin() {
	local rc=0
	timeout 60 nbdkit -f -U no.sock "$plugin" "$2" key-file=key state-dir=no-state memory=128M > no.out 2>&1 < /dev/null || rc=$?
	rm -rf no.sock no-state
	[ $rc = 1 ] && [ "$(grep -c '^nbdkit: error: ' no.out)" = 1 ] && grep -qE "^nbdkit: error: .*$1" no.out ||
		{ cat no.out; fail "the plugin: status $rc, not 1 with '$1'"; }
	rm -f no.out
}
# both PATTERN URL
both() { each 1 "$1" "$2" && plugin "$1" "$2"; }
unchanged() { [ "$before" = "$(state)" ] || { diff <(echo "$before") <(state); fail "something has changed: $1"; }; }

before=$(state)

# ---- no URL
at="endpoint=$ZT_S3&region=default&plain-http=yes"
each 2 'no bucket' 's3://'
while read -r pattern url; do
	few 2 "${pattern//_/ }" "$url"
	plugin "${pattern//_/ }" "$url"
done <<-U
	no_bucket s3:///vol?$at
	bucket's_name s3://WRONG/vol?$at
	bucket's_name s3://w/vol?$at
	prefix s3://wrong/../vol?$at
	prefix s3://wrong/a//vol?$at
	malformed s3://wrong/%zz?$at
	no_key_or_secret s3://AK:SK@wrong/vol?$at
	no_key_or_secret s3://wrong/vol?$at&secret-key=SK
	did_you_mean_'endpoint' s3://wrong/vol?endpiont=$ZT_S3
	twice s3://wrong/vol?$at&region=default
	has_no_value s3://wrong/vol?$at&region
	https://_or_http:// s3://wrong/vol?endpoint=ftp://127.0.0.1
	port s3://wrong/vol?endpoint=https://127.0.0.1:99999
	neither_path_nor s3://wrong/vol?$at&style=odd
	MB/s s3://wrong/vol?$at&up=-1
	absolute s3://wrong/vol?$at&ca=here
U
each 2 'plain http' "s3://wrong/vol?endpoint=$ZT_S3&region=default"
plugin 'plain http' "s3://wrong/vol?endpoint=$ZT_S3&region=default"
unchanged "no URL"
say "no URL, and plain http without consent: ok"

# ---- the wrong place
both 'no-such-bucket.*NoSuchBucket; make the bucket' "$(at no-such-bucket/vol)"
commands=("${commands[@]:1}") # format makes a volume where none is
both 'no volume at' "$(at wrong/nothing)"
commands=("format --size 64M" "${commands[@]}")
# Nobody listens; the plugin waits for a store that may come.
each 1 'does not answer.*connect' "$(at wrong/vol http://127.0.0.1:1)"
unchanged "the wrong place"
say "the wrong place: ok"

# ---- the wrong keys
# With STS, which the gateway has, it does not say what of the keys is wrong; others do.
(export AWS_SECRET_ACCESS_KEY=wrong && both 'AccessDenied; allow these keys' "$ok")
(export AWS_ACCESS_KEY_ID=NOBODY && both 'AccessDenied; allow these keys' "$ok")
(unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY && export HOME=$dir/nowhere AWS_EC2_METADATA_DISABLED=true && both 'no S3 credentials' "$ok")
(unset AWS_SECRET_ACCESS_KEY && both 'only one of' "$ok")
both 'S3 credentials' "$ok&credentials=$dir/nowhere"
both 'S3 credentials' "$ok&credentials=$dir/key"
(export HOME=$dir/nowhere && both "profile 'nobody'" "$ok&profile=nobody")
unchanged "the wrong keys"
say "the wrong keys: ok"

# ---- no S3, or not as it must be
# wrong FAULT...: of the proxy, all there is.
wrong() {
	proxy proxy clear > /dev/null
	proxy proxy add "$@" > rule.out
}
bad=$(at wrong/vol "$via")
wrong fault=answer status=403 code=SignatureDoesNotMatch
few 1 '403 SignatureDoesNotMatch' "$bad"
wrong fault=answer status=403 code=InvalidAccessKeyId
few 1 '403 InvalidAccessKeyId' "$bad"
wrong fault=html
each 1 'page of HTML, no list in XML' "$bad"
for status in 404 503; do
	wrong fault=html status=$status
	few 1 "$status with a page of HTML" "$bad"
done
wrong fault=html status=403
both '403 with a page of HTML' "$bad"
for code in AccessDenied AllAccessDisabled; do
	wrong fault=answer status=403 code=$code
	both "403 $code" "$bad"
done
wrong fault=expired
both 'ExpiredToken' "$bad"
wrong fault=skewed shift=0
both 'RequestTimeTooSkewed' "$bad"
# A region that nobody names, and one that is named, wrongly, over and over.
wrong fault=answer status=301 code=PermanentRedirect
both '301 PermanentRedirect.*region' "$bad"
wrong fault=answer status=400 code=AuthorizationHeaderMalformed region=elsewhere
both 'AuthorizationHeaderMalformed' "$bad"
unchanged "no S3"
# What a store refuses that has been asked to write.
for c in "status=403 code=AccessDenied" "status=501 code=NotImplemented" "status=507 code=QuotaExceeded"; do
	# shellcheck disable=SC2086
	wrong fault=answer op=PUT $c
	refused 1 "${c##*=}" zerofs format --size 64M --key-file key "$(at wrong/new "$via")"
	refused 1 "${c##*=}" zerofs key add --new-key-file newkey --key-file key "$bad"
	refused 1 "${c##*=}" zerofs key remove --key-file key "$bad" 1
	refused 1 "${c##*=}" zerofs key rotate --key-file key "$bad"
	unchanged "a PUT is refused, $c"
done
proxy proxy clear > /dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout tls.out -out cert.out -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 2> /dev/null
proxy_start "$dir/proxy-tls" "$ZT_S3" --tls cert.out tls.out
both 'certificate' "s3://wrong/vol?endpoint=$(cat proxy-tls/endpoint)&region=default"
unchanged "a certificate that does not verify"
say "no S3, or not as it must be: ok"

# ---- what is set right
wrong fault=answer status=400 code=AuthorizationHeaderMalformed region=default count=1
zerofs key list --key-file key "s3://wrong/vol?endpoint=$via&region=elsewhere&plain-http=yes" > list.out || fail "the region is not followed"
[ "$(proxy proxy fired id="$(cat rule.out)")" = 1 ] || fail "nobody named the region"
# A store that takes whatever is created: no plugin serves from it. It may have overwritten what its own try had made, nothing else.
wrong fault=replace op=PUT
plugin 'two hosts' "$bad"
zerofs key list --key-file key "$ok" > list.out || fail "the volume has suffered"
