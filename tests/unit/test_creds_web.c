// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Services that keys come from: STS, a container's endpoint, a machine's metadata.
 *
 * sleeps: 11 s
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/credworld.h"

#define WEB  "AssumeRoleWithWebIdentity"
#define ROLE "AssumeRole"
#define IAM  "/latest/meta-data/iam/security-credentials/"
#define HOUR 3600

static struct credworld w;
static char last[65536];

static const char *last_request(void)
{
	websrv_last(w.web, last, sizeof(last));
	return last;
}

static void asked_with(const char *text)
{
	if (!strstr(last_request(), text))
		fail_msg("'%s' is not in the request: %s", text, last);
}

static char *many(size_t n)
{
	char *s = malloc(n + 1);

	assert_non_null(s);
	memset(s, ' ', n);
	s[n] = '\0';
	return s;
}

/* What no service may answer: @method, @path of the last request; the keys are not taken. */
static void bad_answers(const char *method, const char *path)
{
	static const char *const text[] = {
		"",
		"<!DOCTYPE html><html><body><p>Log in<br></body></html>",
		"{\"AccessKeyId\": \"AKID1\"",
		"[1, 2]",
		"{\"AccessKeyId\": 5, \"SecretAccessKey\": \"SEKRET\"}",
		"{\"Version\": 1, \"AccessKeyId\": \"AKID1\"}",
		"<" WEB "Response><" WEB "Result><Credentials><AccessKeyId>AKID1</AccessKeyId>"
		"</Credentials></" WEB "Result></" WEB "Response>",
		"<" WEB "Response><Credentials><AccessKeyId>AKID1</AccessKeyId>",
		"{\"AccessKeyId\": \"AKID1\", \"SecretAccessKey\": \"SEKRET1\", \"Token\": "
		"\"T\\r\\nX: 1\", \"Expiration\": \"2099-01-01T00:00:00Z\"}",
		"{\"AccessKeyId\": \"AKID1\", \"SecretAccessKey\": \"SEKRET1\", \"Token\": \"T\", "
		"\"Expiration\": \"tomorrow\"}",
		"{\"AccessKeyId\": \"AKID1\", \"SecretAccessKey\": \"SEKRET1\", \"Token\": \"T\"}",
	};
	char *large = many(40000);

	for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		websrv_set(w.web, method, path, NULL, 200, text[i]);
		credworld_refuses(&w, NULL, "S3 credentials: ");
	}
	websrv_set(w.web, method, path, NULL, 200, large);
	credworld_refuses(&w, NULL, "the answer is longer than");
	free(large);
}

/* ---- STS --------------------------------------------------------------------------------- */

static void use_web(void)
{
	char path[300];

	credworld_clear(&w);
	snprintf(path, sizeof(path), "%s/token", w.dir);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
	setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r+1", 1);
	credworld_point(&w, "AWS_ENDPOINT_URL_STS", "");
	credworld_put(&w, "token", "j.w/t==\n");
}

static void web_identity(void **state)
{
	struct creds_chain *c;

	(void)state;
	use_web();
	websrv_set(w.web, "POST", "/", "Action=" WEB, 200, credworld_xml(&w, "1", WEB, HOUR));
	credworld_finds(&w, NULL, "1");
	asked_with("Action=" WEB "&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr%2B1"
		   "&RoleSessionName=zerofs-");
	asked_with("&WebIdentityToken=j.w%2Ft%3D%3D");
	assert_null(strstr(last, "Authorization"));
	setenv("AWS_ROLE_SESSION_NAME", "me@here", 1);
	credworld_finds(&w, NULL, "1");
	asked_with("&RoleSessionName=me%40here&");
	/* the file is read anew for each */
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	credworld_put(&w, "token", "second");
	websrv_set(w.web, "POST", "/", "second", 200, credworld_xml(&w, "2", WEB, HOUR));
	atomic_fetch_add(&w.ahead_us, 3310 * 1000000ull);
	credworld_wait(c, "2");
	creds_close(c);
	unsetenv("AWS_ROLE_ARN");
	credworld_refuses(&w, NULL, "AWS_ROLE_ARN is not");
}

static void web_identity_fails(void **state)
{
	struct creds_chain *c;

	(void)state;
	use_web();
	bad_answers("POST", "/");
	websrv_set(w.web, "POST", "/", NULL, 400,
		   "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>InvalidIdentityToken"
		   "</Code><Message>No OpenIDConnect\nprovider</Message></Error></ErrorResponse>");
	credworld_refuses(&w, NULL, "400 InvalidIdentityToken: No OpenIDConnect provider");
	websrv_set(w.web, "POST", "/", NULL, 302, "");
	credworld_refuses(&w, NULL, "302");
	websrv_set(w.web, "POST", "/", NULL, 200, credworld_xml(&w, "1", WEB, -5));
	creds_close(credworld_waits(&w, NULL, "have expired"));
	websrv_set(w.web, "POST", "/", NULL, 503, "<html>");
	c = credworld_waits(&w, NULL, "503");
	websrv_set(w.web, "POST", "/", NULL, 200, credworld_xml(&w, "1", WEB, HOUR));
	credworld_wait(c, "1");
	creds_close(c);
	credworld_put(&w, "token", " \n");
	credworld_refuses(&w, NULL, "token is empty");
	assert_int_equal(unlink(getenv("AWS_WEB_IDENTITY_TOKEN_FILE")), 0);
	credworld_refuses(&w, NULL, "/token: No such file");
	/* a token is as good as a key */
	credworld_put(&w, "token", "t");
	setenv("AWS_ENDPOINT_URL_STS", "http://192.0.2.1", 1);
	credworld_refuses(&w, NULL, "neither https nor of this machine");
	setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1@192.0.2.1", 1);
	credworld_refuses(&w, NULL, "is not https://HOST");
	setenv("AWS_ENDPOINT_URL_STS", "ftp://127.0.0.1", 1);
	credworld_refuses(&w, NULL, "is not https://HOST");
}

/* A role by a role by keys: each is asked with what the one before gave. */
static void role_chain(void **state)
{
	(void)state;
	credworld_clear(&w);
	credworld_point(&w, "AWS_ENDPOINT_URL_STS", "");
	credworld_put(&w, ".aws/credentials",
		      "[keys]\naws_access_key_id = AKID0\naws_secret_access_key = SEKRET0\n");
	credworld_put(&w, ".aws/config",
		      "[profile two]\nrole_arn = arn:two\nsource_profile = one\nregion = eu-x-1\n"
		      "external_id = e:1\nduration_seconds = 900\nrole_session_name = s\n"
		      "[profile one]\nrole_arn = arn:one\nsource_profile = keys\n"
		      "[profile self]\nrole_arn = arn:one\nsource_profile = self\n"
		      "aws_access_key_id = AKID5\naws_secret_access_key = SEKRET5\n");
	websrv_set(w.web, "POST", "/", "RoleArn=arn%3Aone", 200,
		   credworld_xml(&w, "1", ROLE, HOUR));
	websrv_set(w.web, "POST", "/", "RoleArn=arn%3Atwo", 200,
		   credworld_xml(&w, "2", ROLE, HOUR));
	credworld_finds(&w, "one", "1");
	asked_with("Credential=AKID0/");
	asked_with("SignedHeaders=content-type;host;x-amz-date, ");
	asked_with("/us-east-1/sts/aws4_request");
	credworld_finds(&w, "two", "2");
	assert_int_equal(websrv_count(w.web, "POST", "/"), 3);
	asked_with("Credential=AKID1/");
	asked_with("/eu-x-1/sts/aws4_request");
	asked_with("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, ");
	asked_with("x-amz-security-token: T1\r\n");
	asked_with("&RoleSessionName=s&ExternalId=e%3A1&DurationSeconds=900");
	credworld_finds(&w, "self", "1");
	asked_with("Credential=AKID5/");
}

static void role_sources(void **state)
{
	(void)state;
	credworld_clear(&w);
	credworld_point(&w, "AWS_ENDPOINT_URL_STS", "");
	credworld_point(&w, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/box");
	credworld_point(&w, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
	unsetenv("AWS_EC2_METADATA_DISABLED");
	credworld_put(&w, ".aws/config",
		      "[profile e]\nrole_arn = arn:r\ncredential_source = Environment\n"
		      "[profile c]\nrole_arn = arn:r\ncredential_source = EcsContainer\n"
		      "[profile m]\nrole_arn = arn:r\ncredential_source = Ec2InstanceMetadata\n"
		      "[profile w]\nrole_arn = arn:r\nweb_identity_token_file = %s/token\n",
		      w.dir);
	credworld_put(&w, "token", "jwt");
	websrv_set(w.web, "POST", "/", ROLE "&", 200, credworld_xml(&w, "1", ROLE, HOUR));
	websrv_set(w.web, "POST", "/", WEB, 200, credworld_xml(&w, "2", WEB, HOUR));
	credworld_refuses(&w, "e", "the environment: not set");
	setenv("AWS_ACCESS_KEY_ID", "AKIDE", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "SEKRETE", 1);
	credworld_finds(&w, "e", "1");
	asked_with("Credential=AKIDE/");
	websrv_set(w.web, "GET", "/box", NULL, 200, credworld_json(&w, "C", "Token", HOUR));
	credworld_finds(&w, "c", "1");
	asked_with("Credential=AKIDC/");
	websrv_set(w.web, "PUT", "/latest/api/token", NULL, 200, "tok");
	websrv_set(w.web, "GET", IAM, NULL, 200, "role");
	websrv_set(w.web, "GET", IAM "role", NULL, 200, credworld_json(&w, "M", "Token", HOUR));
	credworld_finds(&w, "m", "1");
	asked_with("Credential=AKIDM/");
	credworld_finds(&w, "w", "2");
	asked_with("&WebIdentityToken=jwt");
}

static void role_fails(void **state)
{
	(void)state;
	credworld_clear(&w);
	credworld_point(&w, "AWS_ENDPOINT_URL_STS", "");
	credworld_put(&w, ".aws/config",
		      "[profile a]\nrole_arn = arn:r\nsource_profile = b\n"
		      "[profile b]\nrole_arn = arn:r\nsource_profile = c\n"
		      "[profile c]\nrole_arn = arn:r\nsource_profile = a\n"
		      "[profile self]\nrole_arn = arn:r\nsource_profile = self\n"
		      "[profile none]\nrole_arn = arn:r\nsource_profile = nobody\n"
		      "[profile bare]\nrole_arn = arn:r\n"
		      "[profile both]\nrole_arn = arn:r\nsource_profile = a\n"
		      "credential_source = Environment\n"
		      "[profile odd]\nrole_arn = arn:r\ncredential_source = Moon\n"
		      "[profile mfa]\nrole_arn = arn:r\nsource_profile = k\nmfa_serial = m\n"
		      "[profile sso]\nsso_session = x\n"
		      "[profile k]\naws_access_key_id = AKID0\naws_secret_access_key = SEKRET0\n"
		      "[profile ok]\nrole_arn = arn:r\nsource_profile = k\n"
		      "[profile 1]\nrole_arn = arn:r\nsource_profile = 2\n"
		      "[profile 2]\nrole_arn = arn:r\nsource_profile = 3\n"
		      "[profile 3]\nrole_arn = arn:r\nsource_profile = 4\n"
		      "[profile 4]\nrole_arn = arn:r\nsource_profile = 5\n"
		      "[profile 5]\nrole_arn = arn:r\nsource_profile = k\n");
	credworld_refuses(&w, "a", "its source_profile 'a' leads back to it");
	credworld_refuses(&w, "self", "its source_profile 'self' leads back to it");
	credworld_refuses(&w, "none", "its source_profile 'nobody' has no keys");
	credworld_refuses(&w, "bare", "neither source_profile and credential_source");
	credworld_refuses(&w, "both", "both source_profile and credential_source");
	credworld_refuses(&w, "odd", "credential_source is none of");
	credworld_refuses(&w, "mfa", "mfa_serial");
	credworld_refuses(&w, "sso", "sso_session, which this version cannot do");
	credworld_refuses(&w, "1", "more than 5 profiles");
	assert_int_equal(websrv_count(w.web, "POST", "/"), 0);
	websrv_set(w.web, "POST", "/", NULL, 403,
		   "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error>"
		   "</ErrorResponse>");
	credworld_refuses(&w, "ok", "AssumeRole of arn:r: 403 AccessDenied: no");
	assert_int_equal(websrv_count(w.web, "POST", "/"), 1);
	/* a clock that is wrong is corrected, once; what the keys' span is does not depend on it */
	websrv_set_date(w.web, 86400);
	credworld_refuses(&w, "ok", "AccessDenied");
	assert_int_equal(websrv_count(w.web, "POST", "/"), 3);
	websrv_set(w.web, "POST", "/", NULL, 200, credworld_xml(&w, "1", ROLE, 86400 + HOUR));
	credworld_finds(&w, "ok", "1");
	websrv_set_date(w.web, -86400);
	websrv_set(w.web, "POST", "/", NULL, 200, credworld_xml(&w, "1", ROLE, -86400 + HOUR));
	credworld_finds(&w, "ok", "1");
}

/* ---- a container's endpoint -------------------------------------------------------------- */

static void container(void **state)
{
	struct creds_chain *c;
	char path[300];

	(void)state;
	credworld_clear(&w);
	credworld_point(&w, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/box?a=b");
	websrv_set(w.web, "GET", "/box?a=b", NULL, 200, credworld_json(&w, "1", "Token", HOUR));
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	credworld_finds(&w, NULL, "1");
	unsetenv("http_proxy");
	assert_null(strstr(last_request(), "Authorization"));
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic abc", 1);
	credworld_finds(&w, NULL, "1");
	asked_with("\r\nAuthorization: Basic abc\r\n");
	snprintf(path, sizeof(path), "%s/auth", w.dir);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
	credworld_put(&w, "auth", "first\n");
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	asked_with("\r\nAuthorization: first\r\n");
	credworld_put(&w, "auth", "second");
	websrv_set(w.web, "GET", "/box?a=b", NULL, 200, credworld_json(&w, "2", "Token", 2 * HOUR));
	atomic_fetch_add(&w.ahead_us, 3310 * 1000000ull);
	credworld_wait(c, "2");
	asked_with("\r\nAuthorization: second\r\n");
	creds_close(c);
}

static void container_fails(void **state)
{
	static const char *const hosts[] = {
		"http://192.0.2.1/x",	      "http://example.org/x",
		"http://127.0.0.1@192.0.2.1", "http://localhost.example.org/",
		"http://[2001:db8::1]/",      "http://169.254.169.254/x",
	};
	char path[300];

	(void)state;
	credworld_clear(&w);
	credworld_point(&w, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/box");
	bad_answers("GET", "/box");
	websrv_set(w.web, "GET", "/box", NULL, 403, "{\"code\": \"x\"}");
	credworld_refuses(&w, NULL, "the container's endpoint says 403");
	websrv_set(w.web, "GET", "/box", NULL, 500, "");
	creds_close(credworld_waits(&w, NULL, "the container's endpoint says 500"));
	websrv_set(w.web, "GET", "/box", NULL, 0, "");
	creds_close(credworld_waits(&w, NULL, "the container's endpoint: Operation timed out"));
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\r\nX-Evil: 1", 1);
	credworld_refuses(&w, NULL, "control character");
	snprintf(path, sizeof(path), "%s/nothing", w.dir);
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
	credworld_refuses(&w, NULL, "/nothing: No such file");
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	unsetenv("AWS_CONTAINER_AUTHORIZATION_TOKEN");
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", hosts[i], 1);
		credworld_refuses(&w, NULL, "plain http to neither");
	}
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "file:///etc/passwd", 1);
	credworld_refuses(&w, NULL, "is no URL of http or https");
	setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@192.0.2.1/x", 1);
	credworld_refuses(&w, NULL, "is no path");
}

/* ---- a machine's metadata ---------------------------------------------------------------- */

static void use_imds(void)
{
	credworld_clear(&w);
	unsetenv("AWS_EC2_METADATA_DISABLED");
	credworld_point(&w, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "/");
	websrv_set(w.web, "PUT", "/latest/api/token", NULL, 200, "tok==");
	websrv_set(w.web, "GET", IAM, NULL, 200, "my-role\n");
	websrv_set(w.web, "GET", IAM "my-role", NULL, 200, credworld_json(&w, "1", "Token", HOUR));
}

static void imds(void **state)
{
	struct creds_chain *c;

	(void)state;
	use_imds();
	/* what is on the link is not asked for through a proxy */
	setenv("http_proxy", "http://127.0.0.1:1", 1);
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	credworld_wait(c, "1");
	unsetenv("http_proxy");
	asked_with("GET " IAM "my-role HTTP/1.1");
	asked_with("\r\nX-aws-ec2-metadata-token: tok==\r\n");
	assert_int_equal(websrv_count(w.web, "PUT", "/latest/api/token"), 1);
	/* the next ones are there five minutes before the end */
	websrv_set(w.web, "GET", IAM "my-role", NULL, 200,
		   credworld_json(&w, "2", "Token", 2 * HOUR));
	atomic_fetch_add(&w.ahead_us, 3310 * 1000000ull);
	credworld_wait(c, "2");
	assert_int_equal(websrv_count(w.web, "PUT", "/latest/api/token"), 2);
	creds_close(c);
	setenv("AWS_EC2_METADATA_DISABLED", "True", 1);
	credworld_refuses(&w, NULL, "(IMDS): disabled");
	assert_int_equal(websrv_count(w.web, "PUT", "/latest/api/token"), 2);
}

static void imds_fails(void **state)
{
	uint64_t t;

	(void)state;
	use_imds();
	bad_answers("GET", IAM "my-role");
	websrv_set(w.web, "GET", IAM "my-role", NULL, 200, "{\"Code\": \"Failed\"}");
	credworld_refuses(&w, NULL, "says Failed");
	websrv_set(w.web, "GET", IAM, NULL, 200, "../../x");
	credworld_refuses(&w, NULL, "no role's name");
	websrv_set(w.web, "GET", IAM, NULL, 404, "");
	credworld_refuses(&w, NULL, "no role is attached");
	websrv_set(w.web, "PUT", "/latest/api/token", NULL, 200, "a\tb");
	credworld_refuses(&w, NULL, "no token");
	websrv_set(w.web, "PUT", "/latest/api/token", NULL, 403, "");
	credworld_refuses(&w, NULL, "token: 403");
	websrv_set(w.web, "PUT", "/latest/api/token", NULL, 500, "");
	creds_close(credworld_waits(&w, NULL, "token: 500"));
	/* as in a container that is one hop too far, or on a machine without: soon over */
	websrv_set(w.web, "PUT", "/latest/api/token", NULL, 0, "");
	t = clock_mono_us(clock_system());
	credworld_refuses(&w, NULL, "no S3 credentials: set AWS_ACCESS_KEY_ID");
	assert_in_range(clock_mono_us(clock_system()) - t, 3900000, 7000000);
	assert_non_null(strstr(w.err, "the environment: not set; web identity: not set; the "
				      "profile 'default': not there; the container's endpoint: not "
				      "set; the machine's metadata (IMDS): "));
}

/* ---- who is asked first ------------------------------------------------------------------ */

static void order(void **state)
{
	(void)state;
	use_imds();
	credworld_point(&w, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/box");
	websrv_set(w.web, "GET", "/box", NULL, 200, credworld_json(&w, "box", "Token", HOUR));
	credworld_put(&w, ".aws/config",
		      "[default]\naws_access_key_id = AKIDfile\naws_secret_access_key = "
		      "SEKRETfile\n");
	credworld_put(&w, "token", "jwt");
	setenv("AWS_ROLE_ARN", "arn:r", 1);
	credworld_point(&w, "AWS_ENDPOINT_URL_STS", "");
	websrv_set(w.web, "POST", "/", WEB, 200, credworld_xml(&w, "web", WEB, HOUR));
	setenv("AWS_ACCESS_KEY_ID", "AKIDenv", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "SEKRETenv", 1);
	{
		char path[300];

		snprintf(path, sizeof(path), "%s/token", w.dir);
		setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
	}
	credworld_finds(&w, NULL, "env");
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	credworld_finds(&w, NULL, "web");
	/* who is set up and fails is not passed over: the next one is somebody else */
	websrv_set(w.web, "POST", "/", WEB, 503, "");
	creds_close(credworld_waits(&w, NULL, "503"));
	credworld_finds(&w, "default", "file");
	unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	credworld_finds(&w, NULL, "file");
	setenv("AWS_PROFILE", "nobody", 1);
	credworld_refuses(&w, NULL, "the profile 'nobody' has no keys");
	unsetenv("AWS_PROFILE");
	credworld_put(&w, ".aws/config", "[default]\nregion = x\n");
	credworld_finds(&w, NULL, "box");
	unsetenv("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	credworld_finds(&w, NULL, "1");
	assert_int_equal(websrv_count(w.web, "PUT", "/latest/api/token"), 1);
}

/* A file that is gone for a moment does not make us somebody else. */
static void stays(void **state)
{
	struct creds_chain *c;
	char why[CREDS_WHY] = "", path[300];
	struct creds got;

	(void)state;
	credworld_clear(&w);
	credworld_point(&w, "AWS_CONTAINER_CREDENTIALS_FULL_URI", "/box");
	websrv_set(w.web, "GET", "/box", NULL, 200, credworld_json(&w, "box", "Token", HOUR));
	credworld_put(&w, ".aws/config",
		      "[default]\naws_access_key_id = AKID1\naws_secret_access_key = SEKRET1\n");
	assert_int_equal(credworld_open(&w, &c, NULL), 0);
	assert_int_equal(creds_get(c, &got), 0);
	snprintf(path, sizeof(path), "%s/.aws/config", w.dir);
	assert_int_equal(unlink(path), 0);
	creds_reject(c, got.gen);
	for (int i = 0; i < 5000 && !why[0]; i++) {
		usleep(1000);
		creds_why(c, why, sizeof(why));
	}
	assert_non_null(strstr(why, "the profile 'default': not there"));
	credworld_wait(c, "1");
	assert_int_equal(websrv_count(w.web, "GET", "/box"), 0);
	credworld_put(&w, ".aws/config",
		      "[default]\naws_access_key_id = AKID2\naws_secret_access_key = SEKRET2\n");
	credworld_wait(c, "2");
	creds_close(c);
}

static int setup(void **state)
{
	(void)state;
	credworld_init(&w);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	credworld_destroy(&w);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(web_identity),	   cmocka_unit_test(web_identity_fails),
		cmocka_unit_test(role_chain),	   cmocka_unit_test(role_sources),
		cmocka_unit_test(role_fails),	   cmocka_unit_test(container),
		cmocka_unit_test(container_fails), cmocka_unit_test(imds),
		cmocka_unit_test(imds_fails),	   cmocka_unit_test(order),
		cmocka_unit_test(stays),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
