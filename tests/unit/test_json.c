/*
 * The strict JSON reader. The vectors have the shape of JSONTestSuite: y_ must
 * be read, n_ must be refused with a place, i_ (left open by RFC 8259) is
 * decided here, once and for all. A y_ number that is not whole is in i_:
 * the syntax is JSON, the value is none of ours.
 */

#include "input/input.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/json_out.h"
#include "base/xalloc.h"
#include "model/value.h"

#include "check.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct vector { const char *text; size_t len; const char *want; };
#define V(text, want) { text, sizeof(text) - 1, want }

/* read, and printed again as @want */
static const struct vector good[] = {
	/* rows: JSN-02 */
	V("null", "null"), V("true", "true"), V("false", "false"), V("0", "0"), V("\"\"", "\"\""), V("[]", "[]"), V("{}", "{}"),
	V(" null", "null"), V("null ", "null"), V("\t\r\n null \t\r\n", "null"), V("\n\n{}\n", "{}"),
	V("1", "1"), V("-1", "-1"), V("10", "10"), V("123456789", "123456789"), V("25.0", "25"), V("25.000", "25"), V("0.0", "0"),
	V("-7.0", "-7"), V("9007199254740991", "9007199254740991"), V("-9007199254740991", "-9007199254740991"),
	V("2147483648", "2147483648"), V("4294967296", "4294967296"), V("1.000000000000000000000000000000", "1"),
	V("\"a\"", "\"a\""), V("\"\\\"\"", "\"\\\"\""), V("\"\\\\\"", "\"\\\\\""), V("\"\\/\"", "\"/\""), V("\"\\b\\f\\n\\r\\t\"",
	"\"\\u0008\\u000c\\n\\u000d\\u0009\""), V("\"\\u0041\"", "\"A\""), V("\"\\u00e9\"", "\"\xc3\xa9\""),
	V("\"\\u20AC\"", "\"\xe2\x82\xac\""), V("\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""),
	V("\"\\uD83D\\uDE00\"", "\"\xf0\x9f\x98\x80\""), V("\"\xc3\xa9\"", "\"\xc3\xa9\""), V("\"\xe2\x82\xac\"", "\"\xe2\x82\xac\""),
	V("\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""), V("\"\xef\xbb\xbf\"", "\"\xef\xbb\xbf\""),
	V("\"\\uFFFF\"", "\"\xef\xbf\xbf\""), V("\"\xf4\x8f\xbf\xbf\"", "\"\xf4\x8f\xbf\xbf\""), V("\"\\udbff\\udfff\"", "\"\xf4\x8f\xbf\xbf\""),
	V("\"\\u0001\"", "\"\\u0001\""), V("\"\\u007f\"", "\"\\u007f\""), V("\"\xe2\x80\xa8\"", "\"\xe2\x80\xa8\""),
	V("\"/\"", "\"/\""), V("\"'\"", "\"'\""), V("\" \"", "\" \""), V("\"//not a comment\"", "\"//not a comment\""),
	V("\"\\\\u0000\"", "\"\\\\u0000\""), V("\"[{,:}]\"", "\"[{,:}]\""), V("\"\\u005C\\u0022\"", "\"\\\\\\\"\""),
	V("[null]", "[null]"), V("[1,2,3]", "[1,2,3]"), V("[ 1 , 2 ]", "[1,2]"), V("[[]]", "[[]]"), V("[[],[]]", "[[],[]]"), V("[{}]", "[{}]"),
	V("[\"\"]", "[\"\"]"), V("[1\n,2]", "[1,2]"), V("[true,false,null]", "[true,false,null]"), V("[ ]", "[]"), V("[\"a\",[\"b\",[\"c\"]]]",
	"[\"a\",[\"b\",[\"c\"]]]"), V("[1,null,null,2]", "[1,null,null,2]"), V("[-1]", "[-1]"), V("[0,1]", "[0,1]"),
	V("{\"a\":1}", "{\"a\":1}"), V("{\"\":0}", "{\"\":0}"), V("{\"a\":{}}", "{\"a\":{}}"), V("{ \"a\" : \"b\" }", "{\"a\":\"b\"}"),
	V("{\"a\":1,\"b\":2}", "{\"a\":1,\"b\":2}"), V("{\"a\":1,\"A\":2}", "{\"a\":1,\"A\":2}"), V("{\"a\":[1,{\"a\":2}]}", "{\"a\":[1,{\"a\":2}]}"),
	V("{\"\\u0061\":1}", "{\"a\":1}"), V("{\"a\":{\"b\":1},\"c\":{\"b\":1}}", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}"),
	V("{\"x\":[{\"id\":\"a\"}],\"id\":\"b\"}", "{\"x\":[{\"id\":\"a\"}],\"id\":\"b\"}"), V("{\n\"a\": \"b\"\n}", "{\"a\":\"b\"}"),
	V("{\"\xc3\xa9\":1}", "{\"\xc3\xa9\":1}"), V("{\"a\\\"b\":1}", "{\"a\\\"b\":1}"), V("{\"a\":[],\"b\":{}}", "{\"a\":[],\"b\":{}}"),
	V("[\"\\u0060\\u012a\\u12AB\"]", "[\"`\xc4\xaa\xe1\x8a\xab\"]"), V("[\"\\ud801\\udc37\"]", "[\"\xf0\x90\x90\xb7\"]"),
	V("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]", "[\"\xf0\x9f\x98\xb9\xf0\x9f\x92\x8d\"]"), V("[\"\\u0821\\u2028\"]", "[\"\xe0\xa0\xa1\xe2\x80\xa8\"]"),
	V("[\"a/*b*/c/*d//e\"]", "[\"a/*b*/c/*d//e\"]"), V("[\"asd \"]", "[\"asd \"]"), V("\"\\uD834\\uDd1e\"", "\"\xf0\x9d\x84\x9e\""),
};

/* refused; @want is the whole text of the error, or how it begins where it ends in '*' */
static const struct vector bad[] = {
	/* rows: JSN-10 */
	V("", "n:1:1: no JSON: the text is empty"), V(" ", "n:1:2: no JSON: the text is empty"), V("\n\n", "n:3:1: no JSON*"),
	/* rows: JSN-01 */
	V("[", "n:1:2: [0]: the text ends where a value should be"), V("{", "n:1:2: the text ends inside an object"),
	V("]", "n:1:1: ']' where a value should be*"), V("}", "n:1:1: '}' where*"), V(",", "n:1:1: a comma where a value should be"),
	V(":", "n:1:1: not a value of JSON"), V("\"", "n:1:1: the string that begins here has no end"), V("\"a", "n:1:1: the string*"),
	V("\"\\", "n:1:3: the text ends inside a string"), V("\"\\\"", "n:1:1: the string*"), V("-", "n:1:1: a minus sign without a number"),
	V("+1", "n:1:1: not a value*"), V(".5", "n:1:1: not a value*"), V("1.", "n:1:1: a number without digits after its point"),
	V("01", "n:1:1: a number does not begin with 0"), V("-01", "n:1:1: a number does not*"), V("00", "n:1:1: a number does not*"),
	V("1e", "n:1:1: a number without digits in its exponent"), V("1e+", "n:1:1: a number*"), V("1E-", "n:1:1: a number*"), V("2.e3", "n:1:1: a number*"),
	V("1.e1", "n:1:1: a number*"), V("-.1", "n:1:1: a minus*"), V("--1", "n:1:1: a minus*"), V("- 1", "n:1:1: a minus*"), V("0x10", "n:1:2: something follows*"),
	V("1a", "n:1:2: something follows*"), V("1 2", "n:1:3: something follows the end of the JSON text"), V("1_000", "n:1:2: some*"), V("0e", "n:1:1: a number*"),
	V("[-]", "n:1:2: [0]: a minus*"), V("[1.]", "n:1:2: [0]: a number*"), V("[-2.]", "n:1:2: [0]: a number*"), V("[.1]", "n:1:2: [0]: not a*"), V("[+1]", "n:1:2: [0]*"),
	V("[0.e1]", "n:1:2: [0]: a number*"), V("[0e+]", "n:1:2: [0]*"), V("[1.0e]", "n:1:2: [0]*"), V("[1.0e-]", "n:1:2: [0]*"), V("[1eE2]", "n:1:2: [0]*"), V("[1e0e]", "n:1:2: [0]*"),
	V("[9.e+]", "n:1:2: [0]*"), V("[-012]", "n:1:2: [0]*"), V("[-1x]", "n:1:4: [0]: a ',' or ']' should be here"), V("[1+2]", "n:1:3: [0]*"), V("[0x42]", "n:1:3: [0]*"),
	V("[- 1]", "n:1:2: [0]*"), V("[1 000.0]", "n:1:4: [0]*"), V("[-foo]", "n:1:2: [0]*"), V("[Inf]", "n:1:2: [0]: not a value of JSON*"), V("[-Infinity]", "n:1:2: [0]*"),
	V("[\xef\xbc\x91]", "n:1:2: [0]: not a value*"), V("[1.2a-3]", "n:1:2: [0]*"),
	V("NaN", "n:1:1: not a value*"), V("Infinity", "n:1:1: not*"), V("-Infinity", "n:1:1: a minus*"), V("True", "n:1:1: not*"), V("None", "n:1:1: not*"),
	V("nul", "n:1:1: not*"), V("nulll", "n:1:5: something*"), V("tru", "n:1:1: not*"), V("falsee", "n:1:6: some*"), V("TRUE", "n:1:1: not*"), V("undefined", "n:1:1: not*"),
	V("'a'", "n:1:1: text goes in double quotes, not single ones"), V("['a']", "n:1:2: [0]: text goes*"), V("{'a':1}", "n:1:2: a key, in double quotes,*"),
	V("{a:1}", "n:1:2: a key*"), V("{1:1}", "n:1:2: a key*"), V("{null:1}", "n:1:2: a key*"), V("{[]:1}", "n:1:2: a key*"), V("{:1}", "n:1:2: a key*"),
	V("// c\n1", "n:1:1: JSON has no comments"), V("/**/1", "n:1:1: JSON has*"), V("# c\n1", "n:1:1: JSON has*"), V("1//c", "n:1:2: some*"), V("1/**/", "n:1:2: some*"),
	V("[1,/*c*/2]", "n:1:4: [1]: JSON has*"), V("{\"a\":1}//", "n:1:8: some*"), V("{\"a\":/*x*/1}", "n:1:6: a: JSON has*"),
	V("[1,]", "n:1:4: [1]: ']' where*"), V("[,1]", "n:1:2: [0]: a comma*"), V("[,]", "n:1:2: [0]: a comma*"), V("[1,,2]", "n:1:4: [1]: a comma*"), V("[1 2]", "n:1:4: [0]: a ','*"),
	V("[1", "n:1:3: [0]: the text ends inside an array"), V("[1,", "n:1:4: [1]: the text ends where*"), V("[1,\n", "n:2:1: [1]: the text*"), V("[1}", "n:1:3: [0]*"), V("[\"a\"", "n:1:5: [0]*"),
	V("[\"a\" \"b\"]", "n:1:6: [0]*"), V("[\"a\":1]", "n:1:5: [0]: a ','*"), V("[1]]", "n:1:4: something*"), V("[[1]", "n:1:5: [0]: the text ends*"), V("[\"\"],", "n:1:5: some*"),
	V("[\"x\"]x", "n:1:6: some*"), V("[1]{}", "n:1:4: some*"), V("[\"\",]", "n:1:5: [1]*"), V("[1:2]", "n:1:3: [0]*"), V("[*]", "n:1:2: [0]: not*"), V("[a\n]", "n:1:2: [0]*"),
	V("{\"a\"}", "n:1:5: a: a ':' should be here"), V("{\"a\":}", "n:1:6: a: '}' where*"), V("{\"a\" 1}", "n:1:6: a: a ':'*"), V("{\"a\":1,}", "n:1:8: a comma with nothing behind it"),
	V("{\"a\":1,,\"b\":2}", "n:1:8: a key*"), V("{,}", "n:1:2: a key*"), V("{\"a\":1 \"b\":2}", "n:1:8: a: a ',' or '}' should be here"), V("{\"a\":1", "n:1:7: a: the text ends inside an object"),
	V("{\"a\":", "n:1:6: a: the text ends where*"), V("{\"a\"", "n:1:5: a: a ':'*"), V("{\"a\":1]", "n:1:7: a: a*"), V("{\"a\"::1}", "n:1:6: a: not*"), V("{\"a\"=1}", "n:1:5: a: a ':'*"),
	V("{\"a\",\"b\"}", "n:1:5: a: a ':'*"), V("{\"a\":\"b\"", "n:1:9: a: the text*"), V("{\"a\":'b'}", "n:1:6: a: text goes*"), V("{\"a\":1}}", "n:1:8: some*"), V("{\"a\":\"b\",,\"c\":1}", "n:1:10: a key*"),
	V("{\"a\":\"b\"}#", "n:1:10: some*"), V("{\"x\", null}", "n:1:5: x: a ':'*"), V("{\"x\"::\"b\"}", "n:1:6: x*"), V("{\"a\":true,1}", "n:1:11: a key*"), V("{9999E9999:1}", "n:1:2: a key*"),
	V("{\"a\":[}", "n:1:7: a[0]: '}' where*"), V("{\"a\":[1,{\"b\":?}]}", "n:1:14: a[1].b: not a value of JSON"), V("[[[[?]]]]", "n:1:5: [0][0][0][0]: not*"),
	V("\"\\x41\"", "n:1:2: not an escape of JSON*"), V("\"\\a\"", "n:1:2: not an*"), V("\"\\'\"", "n:1:2: not an*"), V("\"\\0\"", "n:1:2: not an*"), V("\"\\ \"", "n:1:2: not an*"),
	V("\"\\u\"", "n:1:2: \\u wants four*"), V("\"\\u1\"", "n:1:2: \\u wants*"), V("\"\\u12\"", "n:1:2: \\u*"), V("\"\\u123\"", "n:1:2: \\u*"), V("\"\\u00G0\"", "n:1:2: \\u*"), V("\"\\u", "n:1:2: \\u*"),
	V("\"\\U0041\"", "n:1:2: not an*"), V("\"\\\xc3\xa9\"", "n:1:2: not an*"), V("\"\\u 041\"", "n:1:2: \\u*"), V("\"\\u+041\"", "n:1:2: \\u*"), V("[\"\\\"]", "n:1:2: [0]: the string*"), V("[\\n]", "n:1:2: [0]*"),
	V("[\"\\uD800\\u\"]", "n:1:3: [0]: half*"), V("[\"\\uD834\\uDd\"]", "n:1:9: [0]: \\u*"), V("\"\\uD800\\uD800\\x\"", "n:1:2: half*"), V("\"\\\\\\\"", "n:1:1: the string*"),
	/* rows: JSN-13 */
	V("{}{}", "n:1:3: something*"), V("{} {}", "n:1:4: something*"), V("{},", "n:1:3: something*"), V("null\0", "n:1:5: something*"), V("{}\0", "n:1:3: something*"), V("{} x", "n:1:4: some*"), V("[][]", "n:1:3: some*"),
	V("\"a\"b", "n:1:4: some*"), V("1\0", "n:1:2: some*"), V("{}\f", "n:1:3: some*"), V("{}\xef\xbb\xbf", "n:1:3: some*"),
	/* rows: JSN-04 */
	V("\"a\\u0000b\"", "n:1:3: the character U+0000 (\\u0000) is not allowed"), V("{\"to\\u0000x\":1}", "n:1:5: the character U+0000*"), V("{\"a\":[\"\\u0000\"]}", "n:1:8: a[0]: the character U+0000*"),
	V("\"a\0b\"", "n:1:3: a control character in a string is written \\u0000"), V("\0", "n:1:1: an octet 0*"), V("{\0}", "n:1:2: a key*"), V("{\"a\0\":1}", "n:1:4: a control*"),
	V("n\0u\0l\0l\0", "n:1:1: not*"), V("{\"a\"\0:1}", "n:1:5: a: a ':'*"), V("[1,\0]", "n:1:4: [1]: an octet 0*"),
	/* white space of other kinds */
	V("\f1", "n:1:1: not*"), V("\v1", "n:1:1: not*"), V("\xc2\xa0" "1", "n:1:1: not*"), V("\xe2\x81\xa0" "1", "n:1:1: not*"), V("[\f]", "n:1:2: [0]*"), V("\x1b[0m1", "n:1:1: not*"), V("1\x85", "n:1:2: some*"),
	/* rows: JSN-03 */
	V("\xef\xbb\xbf{}", "n:1:1: the text begins with a byte order mark*"), V("\xef\xbb\xbf", "n:1:1: the text begins*"), V("\xff\xfe{\0}\0", "n:1:1: not*"), V("\0{\0}", "n:1:1: an octet 0*"), V("\xfe\xff\0[", "n:1:1: not*"),
	V("\"\xff\"", "n:1:2: not valid UTF-8 (octet 0xff)"), V("\"\x80\"", "n:1:2: not valid*"), V("\"\xc0\xaf\"", "n:1:2: not*"), V("\"\xc1\xbf\"", "n:1:2: not*"), V("\"\xe0\x80\xaf\"", "n:1:2: not*"),
	V("\"\xed\xa0\x80\"", "n:1:2: not*"), V("\"\xed\xbf\xbf\"", "n:1:2: not*"), V("\"\xf4\x90\x80\x80\"", "n:1:2: not*"), V("\"\xf5\x80\x80\x80\"", "n:1:2: not*"), V("\"\xf8\x88\x80\x80\x80\"", "n:1:2: not*"),
	V("\"\xc3\"", "n:1:2: not*"), V("\"\xe2\x82\"", "n:1:2: not*"), V("\"\xf0\x9f\x98\"", "n:1:2: not*"), V("\"\xe9t\xe9\"", "n:1:2: not*"), V("\"\xc3", "n:1:2: not*"), V("{\"\xff\":1}", "n:1:3: not*"),
	V("\"\xfc\x80\x80\x80\x80\xaf\"", "n:1:2: not*"), V("\"\\\xff\"", "n:1:2: not an escape*"), V("[\"\xc3\xa9\xff\"]", "n:1:4: [0]: not valid*"),
	V("\"\\ud800\"", "n:1:2: half of a surrogate pair stands alone (\\ud800)"), V("\"\\udc00\"", "n:1:2: half*"), V("\"\\ud800a\"", "n:1:2: half*"), V("\"\\ud800\\n\"", "n:1:2: half*"),
	V("\"\\ud800\\u0041\"", "n:1:2: half*"), V("\"\\ud800\\ud800\"", "n:1:2: half*"), V("\"\\udc00\\ud800\"", "n:1:2: half*"), V("\"\\udfff\"", "n:1:2: half*"), V("\"\\uDd1ea\"", "n:1:2: half*"), V("[\"\\ud83d\\ude00\\udead\"]", "n:1:15: [0]: half*"),
	/* rows: JSN-09 */
	V("25.5", "n:1:1: not a whole number"), V("0.1", "n:1:1: not a whole*"), V("1e2", "n:1:1: a number with an exponent*"), V("1E0", "n:1:1: a number with*"), V("1e999", "n:1:1: a number with*"), V("-1e999", "n:1:1: a number with*"),
	V("-0", "n:1:1: -0 is not a number here"), V("-0.0", "n:1:1: -0*"), V("9007199254740992", "n:1:1: number too large"), V("9007199254740993", "n:1:1: number too large"), V("-9007199254740992", "n:1:1: number too large"),
	V("99999999999999999999999999999999999999999999", "n:1:1: number too large"), V("1.00000000000000000000000000000000", "n:1:1: number too long"), V("{\"port\":25.5}", "n:1:9: port: not a whole number"), V("0.00001", "n:1:1: not a*"),
	V("25.01", "n:1:1: not a*"), V("[123.456e78]", "n:1:2: [0]: a number with*"), V("[0e1]", "n:1:2: [0]: a number with*"), V("-1.5", "n:1:1: not a whole*"),
	/* duplicate keys at any level, also in other spellings */
	V("{\"a\":1,\"a\":1}", "n:1:12: a: the key is there twice"), V("{\"a\":1,\"b\":2,\n\"a\":3}", "n:2:5: a: the key*"), V("{\"a\":1,\"\\u0061\":2}", "n:1:17: a: the key*"), V("[{\"x\":{\"b\":1,\"b\":2}}]", "n:1:18: [0].x.b: the key*"),
	V("{\"\":1,\"\":2}", "n:1:10: : the key*"), V("{\"a\":1,\"b\":1,\"b\":1,\"a\":1}", "n:1:18: b: the key*"), V("{\"\\u00e9\":1,\"\xc3\xa9\":2}", "n:1:17: \xc3\xa9: the key*"),
	/* places: a character counts one, an LF begins a line, a CR does not */
	V("{\n  \"caf\xc3\xa9\": \"\xf0\x9f\x98\x80\", x}", "n:2:16: a key*"), V("[\r\n?]", "n:2:1: [0]: not*"), V("[\n\n\n  ?", "n:4:3: [0]: not*"), V("[\"\xf0\x9f\x98\x80\",?]", "n:1:6: [1]: not*"), V("[\r?]", "n:1:3: [0]: not*"),
};

/* The tree as JSON again, without recursion. */
static void print(struct buf *out, const struct value *root)
{
	struct json_out j = json_to_buf(out);
	const struct value *v = root;

	while (v) {
		const char *key = v == root ? NULL : v->key;

		switch (v->type) {
		case VALUE_NULL: json_null(&j, key); break;
		case VALUE_BOOL: json_bool(&j, key, v->boolean); break;
		case VALUE_INT: json_int(&j, key, v->number); break;
		case VALUE_STR: case VALUE_NUMBER: case VALUE_TEXT: json_strn(&j, key, v->str, v->len); break;
		case VALUE_LIST: json_open(&j, key, '['); break;
		case VALUE_OBJECT: json_open(&j, key, '{'); break;
		}
		if (v->first) {
			v = v->first;
			continue;
		}
		if (v->type == VALUE_LIST || v->type == VALUE_OBJECT)
			json_close(&j, v->type == VALUE_LIST ? ']' : '}');
		while (v != root && !v->next) {
			v = v->parent;
			json_close(&j, v->type == VALUE_LIST ? ']' : '}');
		}
		v = v == root ? NULL : v->next;
	}
	check(!j.failed);
}

/* The bytes end where the allocation does, so that a sanitizer sees a read beyond. */
static int read_exact(struct value **ret, const char *text, size_t len, struct err *e)
{
	char *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, text, len);
	r = json_read(ret, "n", copy, len, e);
	free(copy);
	return r;
}

static void check_good(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		CLEANUP(value_freep) struct value *v = NULL;
		struct buf out = BUF_INIT(1 << 20);
		struct err e = ERR_INIT;

		test_case("y_%zu %s", i, good[i].text);
		check_int(read_exact(&v, good[i].text, good[i].len, &e), 0);
		if (v)
			print(&out, v);
		check_str(e.text ? e.text : out.data, good[i].want);
		buf_clear(&out);
		err_clear(&e);
	}
}

static void check_bad(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct value *v = NULL;
		struct err e = ERR_INIT;
		const char *want = bad[i].want;
		size_t n = strlen(want);

		test_case("n_%zu %s", i, bad[i].text);
		check_int(read_exact(&v, bad[i].text, bad[i].len, &e), -1);
		check(!v);
		check_int(err_exit_code(&e), 65);
		if (n && want[n - 1] == '*' && e.text && !strncmp(e.text, want, n - 1))
			check(true);
		else
			check_str(e.text, want);
		err_clear(&e);
	}
}

/* rows: JSN-14 */
static void check_controls(void)
{
	for (int c = 0; c <= 0x7f; c = c == 0x1f ? 0x7f : c + 1) {
		char text[] = "{\"a\":\"x?y\"}", want[96], escaped[32];
		CLEANUP(value_freep) struct value *v = NULL;
		struct err e = ERR_INIT;

		test_case("control character 0x%02x, raw and escaped", (unsigned)c);
		text[7] = (char)c;
		snprintf(want, sizeof(want), "n:1:8: a: a control character in a string is written \\u%04x", (unsigned)c);
		check_int(json_read(&v, "n", text, sizeof(text) - 1, &e), -1);
		check_str(e.text, want);
		snprintf(escaped, sizeof(escaped), "\"x\\u%04xy\"", (unsigned)c);
		check_int(json_read(&v, "n", escaped, strlen(escaped), &e), c ? 0 : -1);
		if (v)
			check(v->len == 3 && v->str[1] == c);
		err_clear(&e);
	}
}

static void check_places(void)
{
	static const char text[] = "{\n \"a\": [1,\n\t{\"\xc3\xa9\": \"\xe2\x82\xac\", \"b\": null}],\n\"c\": {}}";
	CLEANUP(value_freep) struct value *v = NULL;
	struct err e = ERR_INIT;
	const struct value *a, *in;
	char path[64];

	test_case("every value knows its line, column and path");
	check_int(json_read(&v, "n", text, sizeof(text) - 1, &e), 0);
	if (!v)
		return;
	check(v->line == 1 && v->column == 1);
	a = value_get(v, "a");
	check(a && a->line == 2 && a->column == 7);
	check(a && a->first->line == 2 && a->first->column == 8);
	in = a ? value_get(a->last, "\xc3\xa9") : NULL;
	check(in && in->line == 3 && in->column == 8);
	in = a ? value_get(a->last, "b") : NULL;
	check(in && in->line == 3 && in->column == 18);
	value_path(in, path, sizeof(path));
	check_str(path, "a[1].b");
	in = value_get(v, "c");
	check(in && in->line == 4 && in->column == 6);
}

/* Every beginning of a text is refused, and none reads beyond its end. */
static void check_prefixes(void)
{
	static const char text[] = "{\"a\":[1,-2,25.0,true,false,null,\"\\ud83d\\ude00\\n\xc3\xa9\"],\"b\":{\"c\":[[]]}}";

	test_case("every prefix of a text is refused");
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		struct value *v = NULL;
		struct err e = ERR_INIT;

		check(read_exact(&v, text, n, &e) == -1);
		check_int(e.class, ERR_DATA);
		err_clear(&e);
	}
}

static void nested(struct buf *b, size_t depth, bool closed)
{
	buf_reset(b);
	for (size_t i = 0; i < depth; i++)
		check(buf_adds(b, i % 2 ? "[" : "{\"a\":") == 0);
	check(buf_adds(b, "1") == 0);
	for (size_t i = depth; closed && i--; )
		check(buf_adds(b, i % 2 ? "]" : "}") == 0);
}

/* rows: JSN-12 */
static void check_depth(void)
{
	struct buf b = BUF_INIT(64 << 20);
	struct value *v = NULL;
	struct err e = ERR_INIT;

	test_case("depth 999");
	nested(&b, 999, true);
	check_int(json_read(&v, "n", b.data, b.len, &e), 0);
	value_free(v);
	v = NULL;
	for (size_t depth = 1000; depth <= 1000000; depth *= 1000)
		for (int closed = 0; closed < 2; closed++) {
			test_case("depth %zu, %s", depth, closed ? "closed" : "open");
			nested(&b, depth, closed);
			check_int(json_read(&v, "n", b.data, b.len, &e), -1);
			check(e.text && strstr(e.text, "nested deeper than 999"));
			check(e.text && strlen(e.text) < 400);
		}
	err_clear(&e);
	buf_clear(&b);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Read @b; the count of its members, or -1. */
static long count_read(const struct buf *b)
{
	CLEANUP(value_freep) struct value *v = NULL;
	struct err e = ERR_INIT;
	long n = 0;

	if (json_read(&v, "n", b->data, b->len, &e) < 0) {
		printf("# %s\n", e.text);
		err_clear(&e);
		return -1;
	}
	for (const struct value *c = v->first; c; c = c->next)
		n++;
	return n;
}

/* rows: JSN-11 */
static void check_size(void)
{
	struct buf b = BUF_INIT(256 << 20);
	double begin, small;

	test_case("a string of 100 MB");
	check(buf_adds(&b, "[\"") == 0);
	for (size_t i = 0; i < 100; i++) {
		static char chunk[1000000];

		memset(chunk, 'x', sizeof(chunk));
		check(buf_add(&b, chunk, sizeof(chunk)) == 0);
	}
	check(buf_adds(&b, "\"]") == 0);
	check_int(count_read(&b), 1);

	test_case("a million recipients, in linear time");
	buf_reset(&b);
	small = 0;
	for (long n = 0; n < 1000000; n++) {
		check(buf_addf(&b, "%s\"u%ld@example.org\"", n ? "," : "[", n) == 0);
		if (n == 99999) {
			check(buf_adds(&b, "]") == 0);
			begin = seconds();
			check_int(count_read(&b), 100000);
			small = seconds() - begin;
			b.data[--b.len] = '\0';
		}
	}
	check(buf_adds(&b, "]") == 0);
	begin = seconds();
	check_int(count_read(&b), 1000000);
	check(seconds() - begin < 40 * small + 1);

	test_case("a million keys, a repeated one among them found");
	buf_reset(&b);
	for (long n = 0; n < 1000000; n++)
		check(buf_addf(&b, "%s\"k%ld\":0", n ? "," : "{", n) == 0);
	check(buf_adds(&b, "}") == 0);
	check_int(count_read(&b), 1000000);
	b.len--;
	check(buf_adds(&b, ",\"k500000\":1}") == 0);
	check_int(count_read(&b), -1);

	test_case("more values than the limit");
	buf_reset(&b);
	check(buf_adds(&b, "[0") == 0);
	for (long n = 0; n < 1 << 21; n++)
		check(buf_adds(&b, ",0") == 0);
	check_int(count_read(&b), -1);

	test_case("a key of 1 MB");
	buf_reset(&b);
	check(buf_adds(&b, "{\"") == 0);
	for (long n = 0; n < 1000000; n++)
		check(buf_adds(&b, "k") == 0);
	check(buf_adds(&b, "\":1}") == 0);
	check_int(count_read(&b), 1);
	buf_clear(&b);
}

/* The deepest text must be readable on a small stack: read again in a child of ourselves under `ulimit -s 256`. */
static void small_stack(char *self)
{
	struct rlimit r = { 256 << 10, 256 << 10 };

	if (setrlimit(RLIMIT_STACK, &r) == 0)
		execl(self, self, "depth", NULL);
	_Exit(127);
}

int main(int argc, char *argv[])
{
	int status = 0;
	pid_t pid;

	if (argc > 1) {
		check_depth();
		return check_done();
	}
	check_good();
	check_bad();
	check_controls();
	check_places();
	check_prefixes();
	check_depth();
	check_size();

	test_case("depth under a stack of 256 KiB");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		if (!freopen("/dev/null", "w", stdout))
			_Exit(126);
		small_stack(argv[0]);
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid);
	check_int(status, 0);
	return check_done();
}
