/*
 * A configuration and an aliases file of the fuzzer's choice: no crash, an
 * error has its class and says where it is; what is taken can be asked for an
 * account, and every name expands within its limits.
 *
 * The first octet chooses: the text is a configuration, or aliases.
 */

#include "base/err.h"
#include "input/aliases.h"
#include "input/config.h"
#include "model/local_names.h"
#include "model/mail_params.h"
#include "model/params_impl.h"

#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file that is only in memory: the path names it. */
static int text_file(char path[64], const uint8_t *data, size_t size)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	fchmod(fd, 0600);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static void config_one(const char *path)
{
	struct err e = ERR_INIT;
	struct config *c = NULL;

	if (config_read(&c, path, &e) < 0) {
		assert((e.class == ERR_CONFIG || e.class == ERR_DATA) && e.text && strstr(e.text, path));
		err_clear(&e);
		return;
	}
	for (const char *const *from = (const char *const[]){ "a@example.org", "root", "", NULL, "end" }; !*from || strcmp(*from, "end");
	     from++) {
		struct mail_params p;

		mail_params_init(&p);
		if (config_defaults(c, &p, &e) < 0 || config_account(c, &p, *from, &e) < 0)
			assert(e.text);
		err_clear(&e);
		mail_params_clear(&p);
	}
	config_free(c);
}

static void expand(const struct mail_params *p, struct local_names *names, const char *name)
{
	struct mailbox m = { .local = (char *)name };
	struct addressees out = {0};
	struct err e = ERR_INIT;
	int r = local_names_recipient(names, &m, &out, &e);

	assert(r < 0 ? e.class == ERR_DATA : (r > 0) == (out.count > 0));
	assert(out.count <= ALIAS_TARGETS_MOST);
	for (size_t i = 0; i < out.count; i++) {
		assert(out.item[i].mailbox.local);
		mailbox_clear(&out.item[i].mailbox);
	}
	free(out.item);
	err_clear(&e);
}

static void aliases_one(const char *path)
{
	struct local_names *names = NULL;
	struct err e = ERR_INIT;
	struct mail_params p;

	mail_params_init(&p);
	p.aliases_file = strdup(path);
	p.mail_domain = strdup("d.example");
	if (aliases_read(&p, &e) < 0) {
		assert(e.class == ERR_CONFIG && e.text);
	} else {
		assert(local_names_make(&names, &p, &e) == 0);
		for (size_t i = 0; i < p.file_aliases.count && i < 20; i++)
			expand(&p, names, p.file_aliases.item[i].name);
		expand(&p, names, "root");
		local_names_free(names);
	}
	err_clear(&e);
	mail_params_clear(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd;

	if (!size)
		return 0;
	fd = text_file(path, data + 1, size - 1);
	if (data[0] & 1)
		aliases_one(path);
	else
		config_one(path);
	close(fd);
	return 0;
}
