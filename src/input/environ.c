/*
 * MAILCHUTE_* variables, each one row of the table.
 *
 * A variable that holds a secret is taken out: its octets in the block that
 * the kernel shows as /proc/PID/environ are overwritten, and it is unset, so
 * that no child inherits it.
 */

#include "input/input.h"

#include "base/err.h"
#include "base/utf8.h"
#include "base/xalloc.h"
#include "input/words.h"
#include "model/value.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "MAILCHUTE_"
enum { VARIABLE_MAX = 64, SHOWN = 128 };

/*
 * The setting's name of variable @name (@len octets, behind the prefix); false where no setting is spelt like
 * it.
 */
static bool lower_name(char out[VARIABLE_MAX], const char *name, size_t len)
{
	if (!len || len >= VARIABLE_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (islower((unsigned char)name[i]))
			return false;
		out[i] = (char)tolower((unsigned char)name[i]);
	}
	out[len] = '\0';
	return true;
}

/* "password_file" is the secret "password" from a file. */
static const struct param *secret_by_form(const char *name, const char **ret_form)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(secret_forms); i++) {
		size_t n = strlen(secret_forms[i]);
		const struct param *p;

		if (len <= n + 1 || name[len - n - 1] != '_' || strcmp(name + len - n, secret_forms[i]))
			continue;
		p = param_by_name(name, len - n - 1);
		if (!p || p->type != PARAM_SECRET)
			continue;
		*ret_form = secret_forms[i];
		return p;
	}
	return NULL;
}

static int unknown(const char *name, size_t len, struct err *e)
{
	const char *near = param_nearest(name, len);
	char shown[SHOWN], near_name[PARAM_NAME_ROOM];

	utf8_escape(shown, sizeof(shown), name, len);
	if (!near)
		return err_set(e, ERR_USAGE, PREFIX "%s: no such setting", shown);
	param_variable(near_name, near);
	return err_set(e, ERR_USAGE, PREFIX "%s: no such setting, did you mean " PREFIX "%s?", shown,
		       near_name);
}

static int set_literal(struct mail_params *p, const struct param *which, const char *word, struct err *e)
{
	CLEANUP(value_freep) struct value *v = value_text(word);

	return mail_params_set(p, which, v, ORIGIN_ENV, NULL, e);
}

/* @entry: NAME=VALUE. *ret_secret: the value is one, or may hold one. */
static int take(struct mail_params *p, const char *entry, bool *ret_secret, struct err *e)
{
	const char *name = entry + strlen(PREFIX), *form = NULL, *value;
	size_t len = strcspn(name, "=");
	const struct param *which = NULL;
	char lower[VARIABLE_MAX], place[sizeof(PREFIX) + VARIABLE_MAX];

	*ret_secret = false;
	if (name[len] != '=')
		return 0;       /* not a variable: nothing that a shell could set */
	value = name + len + 1;
	if (lower_name(lower, name, len)) {
		which = param_by_name(lower, len);
		if (!which)
			which = secret_by_form(lower, &form);
	}
	if (!which)
		return unknown(name, len, e);
	if (which->type == PARAM_ACTION && !(which->flags & PARAM_NO_ENV))
		return 0;       /* how to run: main() asks for it */
	if (which->flags & PARAM_NO_ENV)
		return err_set(e, ERR_USAGE, PREFIX "%.*s: cannot be set by a variable", (int)len, name);
	if (form)
		return input_secret_form(p, which, form, value, ORIGIN_ENV, e);
	*ret_secret = which->type == PARAM_SECRET || (which->flags & PARAM_MASKED);
	/* Whatever it begins with, a password is itself. */
	if (which->type == PARAM_SECRET)
		return set_literal(p, which, value, e);
	snprintf(place, sizeof(place), PREFIX "%.*s", (int)len, name);
	return input_word(p, which, place, value, ORIGIN_ENV, e);
}

/* Unset what was overwritten: getenv() must not find an empty password either. */
static void forget(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsetenv(names[i]);
		free(names[i]);
	}
	free(names);
}

int input_environ(struct mail_params *p, char *envp[], struct err *e)
{
	char **secrets = NULL;
	size_t n_secrets = 0;
	int failed = 0;

	for (char **at = envp; at && *at && !failed; at++) {
		bool secret;

		if (strncmp(*at, PREFIX, strlen(PREFIX)))
			continue;
		failed = take(p, *at, &secret, e);
		if (secret) {
			size_t len = strcspn(*at, "=");

			secrets = xreallocarray(secrets, n_secrets + 1, sizeof(*secrets));
			secrets[n_secrets++] = xmemdup0(*at, len);
			explicit_bzero(*at + len + 1, strlen(*at + len + 1));
		}
	}
	/* Last: unsetenv() moves the entries of the array that envp may be. */
	forget(secrets, n_secrets);
	return failed;
}
