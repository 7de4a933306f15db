/* The tree of values: order, paths, depth without a stack. */

#include "check.h"

#include "base/xalloc.h"
#include "model/value.h"

#include <stdlib.h>

static struct value *keyed(struct value *parent, const char *key, enum value_type type)
{
	struct value *v = value_new(type);

	v->key = xstrdup(key);
	value_append(parent, v);
	return v;
}

static void test_links(void)
{
	CLEANUP(value_freep) struct value *root = value_new(VALUE_OBJECT);
	struct value *list = keyed(root, "attachments", VALUE_LIST), *one, *two, *path;
	char text[64], tiny[8];

	test_case("a value has a path, and is found by its key");
	one = value_new(VALUE_OBJECT);
	two = value_new(VALUE_OBJECT);
	value_append(list, one);
	value_append(list, two);
	path = keyed(two, "path", VALUE_STR);
	value_path(path, text, sizeof(text));
	check_str(text, "attachments[1].path");
	value_path(list, text, sizeof(text));
	check_str(text, "attachments");
	value_path(root, text, sizeof(text));
	check_str(text, "");
	value_path(path, tiny, sizeof(tiny));
	check_str(tiny, "attachm");
	check(value_get(root, "attachments") == list);
	check(value_get(root, "Attachments") == NULL);
	check(value_get(list, "path") == NULL);
	check(value_get(NULL, "path") == NULL);

	test_case("control characters of a key do not reach a message");
	path = keyed(two, "a\nb\x1b[2J", VALUE_STR);
	value_path(path, text, sizeof(text));
	check(!strchr(text, '\n') && !strchr(text, 0x1b));
}

/* rows: JSN-12 */
static void test_depth(void)
{
	struct value *root = value_new(VALUE_LIST), *at = root;
	char text[32];

	test_case("a million levels are walked and freed without recursion");
	for (int i = 0; i < 1000000; i++) {
		struct value *child = value_new(VALUE_LIST);

		value_append(at, child);
		value_append(at, value_text("leaf"));
		at = child;
	}
	value_path(at, text, sizeof(text));
	check(!strncmp(text, "[0][0][0]", 9));
	check_int(strlen(text), sizeof(text) - 1);
	value_free(root);
	value_free(NULL);
}

int main(void)
{
	test_links();
	test_depth();
	return check_done();
}
