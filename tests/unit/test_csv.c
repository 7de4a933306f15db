/*
 * CSV: headers, and records as objects, in tables of text; what is no CSV by RFC 4180 is refused with its place.
 */

#include "check.h"

#include "base/base.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/io.h"
#include "base/xalloc.h"
#include "input/csv.h"
#include "input/rows.h"
#include "model/value.h"

#include <pthread.h>
#include <stdlib.h>

static struct row row_of(const char *text, unsigned long long line)
{
	return (struct row){ .text = (char *)text, .len = strlen(text), .line = line };
}

/* --- the header --- */

static const struct { const char *text, *columns; } headers[] = {
	{ "to", "to" }, { "to,name", "to, name" }, { "to;name", "to, name" }, { "to\tname", "to, name" },
	{ "a;b,c;d", "a, b,c, d" }, { "a,b;c,d", "a, b;c, d" }, { "a\tb;c\td", "a, b;c, d" }, { "a,b;c", "a, b;c" }, { "a;b\tc", "a, b\\x09c" },
	{ "\"a;b;c\",d", "a;b;c, d" }, { "\"a,b\";c", "a,b, c" }, { "\"a\"\";;;\",b", "a\";;;, b" },
	{ " to , name ", " to ,  name " }, { "\"to\",\"the name\"", "to, the name" }, { "To,to,TO", "To, to, TO" },
	{ "\"two\nlines\",b", "two\\x0alines, b" }, { "\xc3\xa9t\xc3\xa9,b", "\xc3\xa9t\xc3\xa9, b" }, { "\" \",b", " , b" },
};

static const struct { const char *text, *error; } bad_headers[] = {
	{ "to,,b", "h.csv:7: column 2 has no name" }, { ",", "h.csv:7: column 1 has no name" }, { "to,", "h.csv:7: column 2 has no name" },
	{ "a,\"\"", "h.csv:7: column 2 has no name" }, { "to,b,to", "h.csv:7: columns 1 and 3 are both named 'to'" },
	{ "a;\"a\"", "h.csv:7: columns 1 and 2 are both named 'a'" }, { "a,b\xe9", "h.csv:7: column 2: not UTF-8" },
	{ "a,b\"c", "h.csv:7: column 2: a quote inside a field that is not in quotes" },
	{ "a,\"b\"c", "h.csv:7: column 2: text behind the closing quote" }, { "a,\"b", "h.csv:7: column 2: the closing quote is missing" },
	{ "a,b\rc,d", "h.csv:7: column 2: a carriage return or line feed outside of quotes" }, { "", "h.csv:7: no columns" },
};

static void test_headers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		CLEANUP(csv_header_freep) struct csv_header *h = NULL;
		CLEANUP(err_clear) struct err e = ERR_INIT;
		CLEANUP(freep) char *columns = NULL;
		struct row row = row_of(headers[i].text, 1);

		test_case("a header: %s", headers[i].text);
		check_int(csv_header_read(&h, "h.csv", &row, &e), 0);
		columns = h ? csv_columns(h) : NULL;
		check_str(columns, headers[i].columns);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_headers); i++) {
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct row row = row_of(bad_headers[i].text, 7);
		struct csv_header *h = NULL;

		test_case("no header: %s", bad_headers[i].text);
		check_int(csv_header_read(&h, "h.csv", &row, &e), -1);
		check_int(e.class, ERR_DATA);
		check_str(e.text, bad_headers[i].error);
		check(!h);
	}
}

static void test_columns(void)
{
	CLEANUP(csv_header_freep) struct csv_header *h = NULL;
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(buf_clear) struct buf text = BUF_INIT(1 << 20);
	CLEANUP(freep) char *columns = NULL;
	struct row row = row_of("to,the name,\"x\ny\"", 1);

	test_case("is there a column of that name?");
	check_int(csv_header_read(&h, "f", &row, &e), 0);
	check(csv_has_column(h, "to", 2) && csv_has_column(h, "the name", 8) && csv_has_column(h, "x\ny", 3));
	check(csv_has_column(h, "torso", 2) && !csv_has_column(h, "t", 1) && !csv_has_column(h, "TO", 2) && !csv_has_column(h, "", 0));
	csv_header_free(h);
	h = NULL;

	test_case("as many columns as there may be, and one more");
	for (int i = 0; i < CSV_COLUMNS_MAX; i++)
		check(buf_addf(&text, "%scolumn%d", i ? "," : "", i) == 0);
	row = row_of(text.data, 1);
	check_int(csv_header_read(&h, "f", &row, &e), 0);
	check(csv_has_column(h, "column4095", 10));
	columns = csv_columns(h);
	check(!strncmp(columns, "column0, column1, ", 18) && strlen(columns) < 1010 && !strcmp(columns + strlen(columns) - 5, ", ..."));
	csv_header_free(h);
	h = NULL;
	check(buf_adds(&text, ",more") == 0);
	row = row_of(text.data, 1);
	check_int(csv_header_read(&h, "f", &row, &e), -1);
	check_str(e.text, "f:1: 4097 columns, but at most 4096 are possible");
}

/* --- records --- */

/* "name=value|" a field. */
static const struct { const char *what, *header, *text, *fields; } records[] = {
	{ "plain", "a,b,c", "1,2,3", "a=1|b=2|c=3|" }, { "empty fields", "a,b,c", ",,", "a=|b=|c=|" }, { "one column", "a", "x", "a=x|" },
	{ "an empty field in quotes", "a", "\"\"", "a=|" }, { "quotes", "a,b", "\"1\",\"2\"", "a=1|b=2|" },
	{ "a delimiter in quotes", "a,b", "\"1,2\",3", "a=1,2|b=3|" }, { "doubled quotes", "a,b", "\"x\"\"y\",\"\"\"\"", "a=x\"y|b=\"|" },
	{ "doubled quotes at both ends", "a", "\"\"\"x\"\"\"", "a=\"x\"|" }, { "a line end in quotes", "a,b", "\"1\n2\",\"\r\n\"", "a=1\n2|b=\r\n|" },
	{ "spaces are the field's", "a,b,c", " 1 ,\t2\t,  ", "a= 1 |b=\t2\t|c=  |" }, { "in quotes as well", "a,b", "\" 1 \",\"\t\"", "a= 1 |b=\t|" },
	{ "a semicolon", "a;b", "1,5;\"x;y\"", "a=1,5|b=x;y|" }, { "a tab", "a\tb\tc", "1\t\t 3", "a=1|b=|c= 3|" },
	{ "other delimiters are text", "a,b", "1;2,3\t4", "a=1;2|b=3\t4|" }, { "an apostrophe is no quote", "a,b", "'1,2'", "a='1|b=2'|" },
	{ "a backslash escapes nothing", "a,b", "1\\,2", "a=1\\|b=2|" }, { "UTF-8", "\xc3\xa9,b", "\xe2\x82\xac,\xf0\x9f\x93\xa7", "\xc3\xa9=\xe2\x82\xac|b=\xf0\x9f\x93\xa7|" },
	{ "JSON in a field", "a,b", "\"{\"\"k\"\":[1,2]}\",x", "a={\"k\":[1,2]}|b=x|" },
};

static const struct { const char *what, *header, *text, *error; } bad_records[] = {
	{ "too few", "a,b,c,d,e", "1,2,3,4", "r.csv:12: 4 fields, but the header has 5 columns" },
	{ "too many", "a", "1,2", "r.csv:12: 2 fields, but the header has 1 column" }, { "one", "a,b", "1", "r.csv:12: 1 field, but the header has 2 columns" },
	{ "none", "a", "", "r.csv:12: 0 fields, but the header has 1 column" },
	{ "a quote inside", "a,subject", "1,x\"y", "r.csv:12: column 'subject': a quote inside a field that is not in quotes" },
	{ "a quote at the end", "a,b", "1\",2", "r.csv:12: column 'a': a quote inside a field that is not in quotes" },
	{ "quotes in the middle", "a,b", "1,x\"y\"z", "r.csv:12: column 'b': a quote inside a field that is not in quotes" },
	{ "a space before the quotes", "a,b", "1, \"2\"", "r.csv:12: column 'b': a quote inside a field that is not in quotes" },
	{ "text behind", "a,b", "\"1\"x,2", "r.csv:12: column 'a': text behind the closing quote" },
	{ "a space behind", "a,b", "\"1\" ,2", "r.csv:12: column 'a': text behind the closing quote" },
	{ "a space and a quote behind", "a,b", "\"1\" \"2\",2", "r.csv:12: column 'a': text behind the closing quote" },
	{ "unended", "a,b", "1,\"2", "r.csv:12: column 'b': the closing quote is missing" }, { "a quote alone", "a", "\"", "r.csv:12: column 'a': the closing quote is missing" },
	{ "three quotes", "a", "\"\"\"", "r.csv:12: column 'a': the closing quote is missing" },
	{ "behind a line end", "a,b", "\"1\n2\n3\"x,2", "r.csv:12: column 'a': text behind the closing quote, in line 14" },
	{ "not UTF-8", "a,b", "1,caf\xe9", "r.csv:12: column 'b': not UTF-8" }, { "surrogates", "a,b", "\xed\xa0\x80,\xff", "r.csv:12: column 'a': not UTF-8" },
	{ "a character cut by a delimiter", "a,b", "\xc3,\xa9", "r.csv:12: column 'a': not UTF-8" },
	{ "a CR", "a,b", "1\r,2", "r.csv:12: column 'a': a carriage return or line feed outside of quotes" },
	{ "a CR at the end", "a,b", "1,2\r", "r.csv:12: column 'b': a carriage return or line feed outside of quotes" },
	{ "a CR at the beginning", "a,b", "\r1,2", "r.csv:12: column 'a': a carriage return or line feed outside of quotes" },
	{ "a CR behind quotes", "a,b", "1,\"2\"\r3,4", "r.csv:12: column 'b': a carriage return or line feed outside of quotes" },
	{ "an LF", "a,b", "1,2\n3,4", "r.csv:12: column 'b': a carriage return or line feed outside of quotes" },
	{ "in a column with a foreign name", "\"x\ny\",b", "1\",2", "r.csv:12: column 'x\\x0ay': a quote inside a field that is not in quotes" },
	{ "beyond the columns", "a,b", "1,2,3,x\"", "r.csv:12: column 4: a quote inside a field that is not in quotes" },
};

static struct csv_header *header_of(const char *text)
{
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct row row = row_of(text, 1);
	struct csv_header *h = NULL;

	check_int(csv_header_read(&h, "r.csv", &row, &e), 0);
	return h;
}

static void tell(struct buf *out, const struct value *object, unsigned line)
{
	unsigned number = 0;

	check_int(object->type, VALUE_OBJECT);
	check_int(object->line, line);
	for (const struct value *v = object->first; v; v = v->next) {
		check(v->type == VALUE_STR && v->len == strlen(v->str) && v->line == line && v->column == ++number && v->parent == object);
		check(buf_addf(out, "%s=%s|", v->key, v->str) == 0);
	}
}

static void test_records(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		CLEANUP(csv_header_freep) struct csv_header *h = NULL;
		CLEANUP(value_freep) struct value *object = NULL;
		CLEANUP(buf_clear) struct buf fields = BUF_INIT(1 << 20);
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct row row = row_of(records[i].text, 9);

		test_case("a record: %s", records[i].what);
		h = header_of(records[i].header);
		check_int(csv_record(&object, h, "r.csv", &row, &e), 0);
		if (object)
			tell(&fields, object, 9);
		check_str(fields.data, records[i].fields);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad_records); i++) {
		CLEANUP(csv_header_freep) struct csv_header *h = NULL;
		CLEANUP(err_clear) struct err e = ERR_INIT;
		struct row row = row_of(bad_records[i].text, 12);
		struct value *object = NULL;

		test_case("no record: %s", bad_records[i].what);
		h = header_of(bad_records[i].header);
		check_int(csv_record(&object, h, "r.csv", &row, &e), -1);
		check_int(e.class, ERR_DATA);
		check_str(e.text, bad_records[i].error);
		check(!object);
	}
}

static void test_faults(void)
{
	CLEANUP(csv_header_freep) struct csv_header *h = NULL;
	CLEANUP(err_clear) struct err e = ERR_INIT;
	struct row faulty = { .text = (char *)"a,b", .len = 3, .line = 3, .fault = "longer than 16 MiB" };
	struct row nul = { .text = (char *)"a,b\0", .len = 4, .line = 4 };
	struct value *object = NULL;

	test_case("a row's fault, and a NUL, are never a record or a header");
	h = header_of("a,b");
	check_int(csv_record(&object, h, "f", &faulty, &e), -1);
	check_str(e.text, "f:3: longer than 16 MiB");
	err_clear(&e);
	check_int(csv_record(&object, h, "f", &nul, &e), -1);
	check_str(e.text, "f:4: has a NUL");
	err_clear(&e);
	csv_header_free(h);
	h = NULL;
	check_int(csv_header_read(&h, "f", &faulty, &e), -1);
	check_str(e.text, "f:3: longer than 16 MiB");
}

static void test_large(void)
{
	enum { LEN = ROW_MAX };
	CLEANUP(csv_header_freep) struct csv_header *h = NULL;
	CLEANUP(value_freep) struct value *object = NULL;
	CLEANUP(err_clear) struct err e = ERR_INIT;
	CLEANUP(freep) char *text = xmalloc(LEN + 1);
	struct row row = { .text = text, .len = LEN, .line = 1 };
	int64_t began = io_now_ms();

	test_case("fields of 16 MiB, and 16 Mi fields");
	memset(text, '"', LEN);
	text[LEN] = '\0';
	h = header_of("a");
	check_int(csv_record(&object, h, "f", &row, &e), 0);
	check(object && object->first->len == LEN / 2 - 1);
	text[LEN - 1] = 'x';
	value_free(object);
	object = NULL;
	check_int(csv_record(&object, h, "f", &row, &e), -1);
	check_str(e.text, "f:1: column 'a': the closing quote is missing");
	err_clear(&e);
	memset(text, ',', LEN);
	check_int(csv_record(&object, h, "f", &row, &e), -1);
	check_str(e.text, "f:1: 16777217 fields, but the header has 1 column");
	printf("# %lld ms\n", (long long)(io_now_ms() - began));
}

/* --- many threads, one header --- */

static void *parse_many(void *data)
{
	const struct csv_header *h = data;
	struct row row = row_of("\"person1@x.example\",\"A Name, 1\",some,short,fields", 2);
	struct row bad = row_of("\"person1@x.example\",\"A Name\" 1,some,short,fields", 2);
	size_t wrong = 0;

	for (int i = 0; i < 50000; i++) {
		CLEANUP(value_freep) struct value *object = NULL;
		CLEANUP(err_clear) struct err e = ERR_INIT;

		if (i % 10 == 9) {
			wrong += csv_record(&object, h, "f", &bad, &e) == 0;
			continue;
		}
		wrong += csv_record(&object, h, "f", &row, &e) != 0 || strcmp(value_get(object, "name")->str, "A Name, 1") ||
			 strcmp(value_get(object, "e")->str, "fields");
	}
	return wrong ? data : NULL;
}

static void test_threads(void)
{
	CLEANUP(csv_header_freep) struct csv_header *h = NULL;
	pthread_t threads[4];
	int64_t began;

	test_case("many threads with one header");
	h = header_of("to,name,c,d,e");
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		check_int(pthread_create(&threads[i], NULL, parse_many, h), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *wrong;

		check_int(pthread_join(threads[i], &wrong), 0);
		check(!wrong);
	}
	began = io_now_us();
	check(!parse_many(h));
	printf("# %lld ns a record of 5 fields\n", (long long)(io_now_us() - began) / 50);
}

int main(void)
{
	test_headers();
	test_columns();
	test_records();
	test_faults();
	test_large();
	test_threads();
	return check_done();
}
