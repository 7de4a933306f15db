/* --print-schema: JSON, and every key of a params file is in it, and no other. */

#include "check.h"

#include "base/buf.h"
#include "base/err.h"
#include "input/input.h"
#include "model/mail_params.h"
#include "model/value.h"

#include <stdlib.h>

/* Every "$ref" in the tree has its target. */
static void check_refs(const struct value *root)
{
	const struct value *v = root;

	while (v) {
		if (v->key && !strcmp(v->key, "$ref")) {
			char copy[64];
			const struct value *at = root;

			snprintf(copy, sizeof(copy), "%s", v->str + 2);
			for (char *step = strtok(copy, "/"); step; step = strtok(NULL, "/"))
				at = value_get(at, step);
			if (!at)
				printf("# no target: %s\n", v->str);
			check(at != NULL);
		}
		if (v->first) {
			v = v->first;
			continue;
		}
		while (v && !v->next)
			v = v->parent;
		v = v ? v->next : NULL;
	}
}

int main(void)
{
	CLEANUP(buf_clear) struct buf out = BUF_INIT(1 << 20), small = BUF_INIT(100);
	CLEANUP(value_freep) struct value *schema = NULL;
	struct err e = ERR_INIT;
	const struct value *properties;
	size_t n, keys = 0;
	const struct param *table = param_table(&n);

	test_case("the schema is JSON");
	check_int(mail_params_schema(&out), 0);
	check_int(json_read(&schema, "schema", out.data, out.len, &e), 0);
	if (e.text)
		printf("# %s\n", e.text);
	check_str(value_get(schema, "$schema")->str, "https://json-schema.org/draft/2020-12/schema");
	check(value_get(schema, "additionalProperties")->boolean == false);

	test_case("it has every key and alias of a params file, and no other");
	properties = value_get(schema, "properties");
	for (size_t i = 0; i < n; i++) {
		bool key = !(table[i].flags & PARAM_NO_JSON);

		check((value_get(properties, table[i].name) != NULL) == key);
		check(!table[i].alias || (value_get(properties, table[i].alias) != NULL) == key);
		keys += key + (key && table[i].alias);
	}
	for (const struct value *v = properties->first; v; v = v->next)
		keys--;
	check_int(keys, 0);
	check(value_get(properties, "output") == NULL);

	test_case("its references lead somewhere");
	check_refs(schema);

	test_case("a buffer too small is told");
	check_int(mail_params_schema(&small), -1);
	err_clear(&e);
	return check_done();
}
