# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# DESCRIPTION: keys of a role, from Ceph's STS, which checks what is signed: a volume is made with them, with a program's keys as
# the role's source. Who may not assume it, or whose keys are wrong, is told so in one line.
. tests/s3/lib.sh
admin() { timeout 60 radosgw-admin -c "$ZT_GATEWAY/ceph.conf" "$@" > "$ZT_TMP/admin" 2>&1 || { tail -5 "$ZT_TMP/admin"; fail "radosgw-admin $*"; }; }
role() { # NAME PRINCIPAL: may all on buckets, and assume roles.
	admin role create --role-name="$1" --assume-role-policy-doc='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Principal": {"AWS": ["'"$2"'"]}, "Action": ["sts:AssumeRole"]}]}'
	admin role-policy put --role-name="$1" --policy-name=p --policy-doc='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
		"Action": ["s3:*", "sts:*"], "Resource": ["*"]}]}'
}

s3 PUT /sts > "$ZT_TMP/out"
role mine arn:aws:iam:::user/test
role others arn:aws:iam:::user/somebody-else
head -c 32 /dev/urandom > "$ZT_TMP/key"
key=$ZT_TMP/key
at="endpoint=$ZT_S3&plain-http=yes&region=default"
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
export HOME=$ZT_TMP AWS_ENDPOINT_URL_STS=$ZT_S3 AWS_EC2_METADATA_DISABLED=true
mkdir "$ZT_TMP/.aws"
printf '#!/bin/sh\necho %s\n' "'{\"Version\": 1, \"AccessKeyId\": \"AK\", \"SecretAccessKey\": \"SK\"}'" > "$ZT_TMP/keys of mine"
chmod 700 "$ZT_TMP/keys of mine"
cat > "$ZT_TMP/.aws/config" <<C
[profile program]
credential_process = "$ZT_TMP/keys of mine"
[profile role]
role_arn = arn:aws:iam:::role/mine
source_profile = program
[profile others]
role_arn = arn:aws:iam:::role/others
source_profile = program
[profile wrong]
aws_access_key_id = AK
aws_secret_access_key = not-it
[profile by-wrong]
role_arn = arn:aws:iam:::role/mine
source_profile = wrong
C

zerofs format --size 1G --key-file "$key" "s3://sts/vol?$at&profile=role" > "$ZT_TMP/out" || fail "format: $(cat "$ZT_TMP/out")"
AWS_PROFILE=role zerofs key list --key-file "$key" "s3://sts/vol?$at" | grep -q key-file || fail "key list by AWS_PROFILE"
zerofs key list --key-file "$key" "s3://sts/vol?$at&profile=program" | grep -q key-file || fail "key list by the program alone"
refused 1 'AssumeRole of arn:aws:iam:::role/others: 403' zerofs format --size 1G --key-file "$key" "s3://sts/new?$at&profile=others"
refused 1 'AssumeRole of arn:aws:iam:::role/mine: 403' zerofs format --size 1G --key-file "$key" "s3://sts/new?$at&profile=by-wrong"
refused 1 "has no keys in ~/.aws" zerofs format --size 1G --key-file "$key" "s3://sts/new?$at&profile=nobody"
refused 1 'no S3 credentials: .*the environment: not set; web identity: not set; .*IMDS' \
	zerofs format --size 1G --key-file "$key" "s3://sts/new?$at"
echo "roles are assumed, and refusals are told"
