/* Whose arguments these are: by the program's name, or by --as. */

#include "input/input.h"

#include "base/err.h"
#include "base/utf8.h"

#include <string.h>

static const struct { const char *name; enum personality as; } names[] = {
	{"sendmail", AS_SENDMAIL}, {"mail", AS_MAIL}, {"mailq", AS_MAILQ}, {"newaliases", AS_NEWALIASES},
	/* other names of the same */
	{"mailx", AS_MAIL}, {"Mail", AS_MAIL}, {"send-mail", AS_SENDMAIL},
};
enum { N_ASKED = 4 };                   /* what --as takes */

static int by_flag(enum personality *ret, const char *name, struct err *e)
{
	char shown[64];

	for (size_t i = 0; i < N_ASKED; i++) {
		if (strcmp(name, names[i].name))
			continue;
		*ret = names[i].as;
		return 0;
	}
	utf8_escape(shown, sizeof(shown), name, strlen(name));
	return err_set(e, ERR_USAGE, "--as=%s: must be sendmail, mail, mailq or newaliases", shown);
}

static enum personality by_name(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i].name))
			return names[i].as;
	return AS_MAILCHUTE;
}

int input_personality(enum personality *ret, int *ret_skip, int argc, char *argv[], struct err *e)
{
	*ret_skip = 0;
	if (argc > 1 && !strncmp(argv[1], "--as=", 5)) {
		*ret_skip = 1;
		return by_flag(ret, argv[1] + 5, e);
	}
	if (argc > 2 && !strcmp(argv[1], "--as")) {
		*ret_skip = 2;
		return by_flag(ret, argv[2], e);
	}
	*ret = argc > 0 && argv[0] ? by_name(argv[0]) : AS_MAILCHUTE;
	return 0;
}
