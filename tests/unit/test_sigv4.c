// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The four requests with an Authorization header of "Signature Calculations for the Authorization
 * Header: Examples" in the S3 API reference, and get-vanilla of aws-sig-v4-test-suite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/s3/sigv4.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define BODY  "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
#define HOST \
	{ \
		"host", "examplebucket.s3.amazonaws.com" \
	}
#define DATE \
	{ \
		"x-amz-date", "20130524T000000Z" \
	}

static const struct {
	const char *method, *path, *query, *hash;
	struct sigv4_header headers[5];
	unsigned int nr;
	const char *names, *signature;
} of_s3[] = {
	{ "GET",
	  "/test.txt",
	  "",
	  EMPTY,
	  { HOST, { "range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY }, DATE },
	  4,
	  "host;range;x-amz-content-sha256;x-amz-date",
	  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
	{ "PUT",
	  "/test%24file.text",
	  "",
	  BODY,
	  { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
	    HOST,
	    { "x-amz-content-sha256", BODY },
	    DATE,
	    { "x-amz-storage-class", "REDUCED_REDUNDANCY" } },
	  5,
	  "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
	{ "GET",
	  "/",
	  "lifecycle=",
	  EMPTY,
	  { HOST, { "x-amz-content-sha256", EMPTY }, DATE },
	  3,
	  "host;x-amz-content-sha256;x-amz-date",
	  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
	{ "GET",
	  "/",
	  "max-keys=2&prefix=J",
	  EMPTY,
	  { HOST, { "x-amz-content-sha256", EMPTY }, DATE },
	  3,
	  "host;x-amz-content-sha256;x-amz-date",
	  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
};

static void s3_reference(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(of_s3) / sizeof(of_s3[0]); i++) {
		const struct sigv4 s = { of_s3[i].method,
					 of_s3[i].path,
					 of_s3[i].query,
					 of_s3[i].headers,
					 of_s3[i].nr,
					 of_s3[i].hash,
					 "20130524T000000Z",
					 "us-east-1",
					 "s3",
					 "AKIAIOSFODNN7EXAMPLE",
					 "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
		char want[512], *got = sigv4_sign(&s);

		snprintf(want, sizeof(want),
			 "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/"
			 "aws4_request, SignedHeaders=%s, Signature=%s",
			 of_s3[i].names, of_s3[i].signature);
		assert_non_null(got);
		assert_string_equal(got, want);
		free(got);
	}
}

static void vanilla(void **state)
{
	static const struct sigv4_header h[] = { { "host", "example.amazonaws.com" },
						 { "x-amz-date", "20150830T123600Z" } };
	const struct sigv4 s = { "GET",
				 "/",
				 "",
				 h,
				 2,
				 EMPTY,
				 "20150830T123600Z",
				 "us-east-1",
				 "service",
				 "AKIDEXAMPLE",
				 "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };
	char *got = sigv4_sign(&s);

	(void)state;
	assert_non_null(got);
	assert_string_equal(got,
			    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/"
			    "aws4_request, SignedHeaders=host;x-amz-date, Signature="
			    "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s3_reference),
		cmocka_unit_test(vanilla),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
